// Who may speak to the broker over TCP: a file with a line for each public key.
//
//   # role  public key                                name
//   client  rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7  ann
//   worker  Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID  host7
//   admin   E-6!W%P:6B<fVvi]a<NY6T1ed:M$fCG*[IaLV{hI  ops
//
// Words are apart by spaces or tabs; the name is the rest of the line. A line that begins with '#' is a
// comment. The role stands first because a key may begin with '#', too. One name may have several keys: that
// is how a key is replaced by another without a gap. A worker's key also speaks for names that begin with its
// own and '.' or '-', so no such name may have a key of its own.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "shared/base/result.h"

namespace tandem {

enum class Role : uint8_t { kClient, kWorker, kAdmin };
std::string_view to_string(Role role);
Result<Role> parse_role(std::string_view word);

// Who a key belongs to.
struct PeerName {
  Role role = Role::kClient;
  std::string name;
  bool operator==(const PeerName&) const = default;
};

// A value; pure.
class Allowlist {
 public:
  // kInvalid with the line of the first mistake: a role, key or name that is none, a key that was there
  // before, a worker that another one's key may speak for, a last line that does not end (the file is still
  // being written), and an empty file. A list of comments alone is good and allows nobody.
  static Result<Allowlist> parse(std::string_view text);

  // Null when the key (Z85) is not in the list. A hash lookup.
  const PeerName* find(const std::string& public_key) const;
  size_t size() const { return peers_.size(); }
  const std::unordered_map<std::string, PeerName>& peers() const { return peers_; }

 private:
  std::unordered_map<std::string, PeerName> peers_;
};

// A worker's key speaks for `name` if that is its own name, or begins with it and '.' or '-': one key does
// for all workers of a host.
bool speaks_for(std::string_view key_name, std::string_view name);

// The line for a key, as parse() reads it.
std::string allow_line(const PeerName& peer, std::string_view public_key);

}  // namespace tandem
