// Who is at the door: the keys of a broker, and what they mean for each message that comes in.

#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"
#include "shared/net/allow_file.h"
#include "shared/net/keys.h"
#include "shared/net/zap.h"

namespace tandem::broker {

struct SecurityConfig {
  std::filesystem::path secret_key_file;  // of the broker; both or none
  std::filesystem::path allow_file;       // of everybody else
};

// One thread. Outlives the sockets that are bound with its keys.
class Doorkeeper {
 public:
  // Nothing without files. From here on the keys of the list are let in; the errors are those of the two
  // files.
  static Result<std::unique_ptr<Doorkeeper>> open(NetContext& context, const SecurityConfig& config);

  const KeyPair& keys() const { return keys_; }

  // Who has the key now; null when nobody has, which may be news since its connection was made.
  const PeerName* who(const std::string& key) const { return list_->find(key); }

  // Set when the list has changed; refresh() then takes it over and gives the keys that are gone or mean
  // somebody else now: their connections are to end.
  Wake& changed() { return file_->changed(); }
  std::vector<std::string> refresh();

  // For a minute no connection is let in with that key.
  void shut_out(const std::string& key, std::string_view reason) { zap_->shut_out(key, reason); }

  uint64_t n_refused() const { return zap_->n_refused(); }

 private:
  Doorkeeper(KeyPair keys, std::unique_ptr<AllowFile> file, std::unique_ptr<ZapHandler> zap);

  KeyPair keys_;
  std::unique_ptr<AllowFile> file_;
  std::unique_ptr<ZapHandler> zap_;
  std::shared_ptr<const Allowlist> list_;
};

}  // namespace tandem::broker
