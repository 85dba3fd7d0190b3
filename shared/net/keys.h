// CURVE keys: what a program proves its name with, over TCP. Made by `tandem keygen`.
//
// A secret key file, readable by its owner only:
//
//   # Tandem secret key of 'ann'. Whoever has this file is 'ann'.
//   name ann
//   public_key rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7
//   secret_key D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs
//
// A public key file is the same without the last line. Keys are 40 characters of Z85 (ZeroMQ RFC 32), which
// has no quotes, backslashes or spaces, but may begin with '#': a key is never the first word of a line.
//
// No error here contains any part of a secret key.

#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "shared/base/result.h"

namespace tandem {

inline constexpr size_t kKeyCharacters = 40;

// A secret that is not printed by accident: whoever wants its text says reveal(), and nothing else shows it.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}
  Secret(const Secret&) = default;
  Secret(Secret&&) noexcept = default;
  Secret& operator=(const Secret&) = default;
  Secret& operator=(Secret&&) noexcept = default;
  ~Secret();  // overwrites the memory

  const std::string& reveal() const { return text_; }

 private:
  std::string text_;
};

struct KeyPair {
  std::string name;        // whom it was made for; what counts is the name in the broker's allow file
  std::string public_key;  // Z85
  Secret secret_key;       // Z85
};

// What a client or worker presents to the broker, and how it knows the broker. No empty member.
struct ClientKeys {
  KeyPair own;
  std::string server_key;  // the broker's public key
};

// A new pair. kInvalid for a name that check_peer_name() refuses; kUnsupported when ZeroMQ was built without
// CURVE.
Result<KeyPair> make_key_pair(const std::string& name);

// The names of clients and workers: 1 to 128 bytes of UTF-8 without '/' or control characters.
Result<void> check_peer_name(std::string_view name);

// 40 characters of Z85 that stand for 32 bytes.
bool is_key(std::string_view text);

// The text of the two files.
std::string secret_key_text(const KeyPair& pair);
std::string public_key_text(const KeyPair& pair);

// kInvalid says which line or key is not as expected, or that the two keys do not belong together.
Result<KeyPair> parse_key_pair(std::string_view text);

// kInvalid also for a file that others than its owner can read: `chmod 600` mends that.
Result<KeyPair> load_key_pair(const std::filesystem::path& path);
// With mode 0600. kExists when there is something of that name: a key that is overwritten is gone.
Result<void> save_key_pair(const std::filesystem::path& path, const KeyPair& pair);

// A public key, given as itself or as the path of a public key file. kInvalid for a secret key file: that one
// stays where it is.
Result<std::string> load_public_key(const std::string& key_or_path);

// Both settings of a client or worker, or none: nothing. A relative path of a public key file counts from the
// working folder, and if there is none, from the folder of `key_file`. kInvalid names `key_file` or
// `server_key` where only one is given.
Result<std::optional<ClientKeys>> load_client_keys(const std::filesystem::path& key_file,
                                                   const std::string& server_key);

}  // namespace tandem
