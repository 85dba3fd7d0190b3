#include "shared/net/keys.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

#include "shared/base/file.h"
#include "shared/base/limits.h"
#include "shared/base/utf8.h"

namespace tandem {
namespace {

constexpr size_t kKeyFileBytesMax = 4096;

// The lines of a key file, by their first word.
Result<std::map<std::string, std::string>> parse_lines(std::string_view text) {
  constexpr std::array<std::string_view, 3> kWords = {"name", "public_key", "secret_key"};
  std::map<std::string, std::string> values;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    const size_t space = line.find(' ');
    const std::string word(line.substr(0, space));
    // What is found is not shown: it may be a secret in the wrong place.
    if (space == std::string_view::npos || std::find(kWords.begin(), kWords.end(), word) == kWords.end()) {
      return fail(ErrorCode::kInvalid, "line " + std::to_string(number) +
                                           ": expected name, public_key or secret_key, a space and a value, "
                                           "found something else");
    }
    if (!values.emplace(word, line.substr(space + 1)).second) {
      return fail(ErrorCode::kInvalid,
                  "line " + std::to_string(number) + ": expected '" + word + "' once, found it again");
    }
  }
  return values;
}

Result<std::string> take_key(const std::map<std::string, std::string>& values, const std::string& word) {
  const auto found = values.find(word);
  if (found == values.end()) {
    return fail(ErrorCode::kInvalid, "expected a line '" + word + " KEY', found none");
  }
  if (!is_key(found->second)) {
    return fail(ErrorCode::kInvalid, word + ": expected 40 characters of Z85, found " +
                                         std::to_string(found->second.size()) +
                                         " characters that are no such key");
  }
  return found->second;
}

std::string public_of(const Secret& secret_key) {
  std::array<char, kKeyCharacters + 1> key{};
  if (::zmq_curve_public(key.data(), secret_key.reveal().c_str()) != 0) return {};
  return key.data();
}

tl::unexpected<Error> fail_errno(const std::filesystem::path& path, const char* what) {
  const int error = errno;
  const ErrorCode code = error == EEXIST   ? ErrorCode::kExists
                         : error == ENOENT ? ErrorCode::kNotFound
                                           : ErrorCode::kIo;
  return fail(code, path.string() + ": cannot " + what + ": " + std::strerror(error));
}

}  // namespace

Secret::~Secret() {
  if (!text_.empty()) ::explicit_bzero(text_.data(), text_.size());
}

Result<KeyPair> make_key_pair(const std::string& name) {
  TANDEM_TRY(check_peer_name(name));
  std::array<char, kKeyCharacters + 1> public_key{}, secret_key{};
  if (::zmq_curve_keypair(public_key.data(), secret_key.data()) != 0) {
    return fail(ErrorCode::kUnsupported,
                "expected a ZeroMQ with CURVE, found one without: no keys can be made");
  }
  KeyPair pair{name, public_key.data(), Secret(secret_key.data())};
  ::explicit_bzero(secret_key.data(), secret_key.size());
  return pair;
}

Result<void> check_peer_name(std::string_view name) {
  const auto is_bad = [](char c) { return c == '/' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (name.empty() || name.size() > limits::kNameBytesMax || std::any_of(name.begin(), name.end(), is_bad) ||
      utf8_valid_prefix(name) != name.size()) {
    return fail(ErrorCode::kInvalid, "expected a name of 1 to " + std::to_string(limits::kNameBytesMax) +
                                         " bytes of UTF-8 without '/' or control characters, found " +
                                         std::to_string(name.size()) + " bytes that are none");
  }
  return {};
}

bool is_key(std::string_view text) {
  if (text.size() != kKeyCharacters) return false;
  std::array<uint8_t, 32> bytes{};
  const bool good = text.find('\0') == std::string_view::npos &&
                    std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; }) &&
                    ::zmq_z85_decode(bytes.data(), std::string(text).c_str()) != nullptr;
  ::explicit_bzero(bytes.data(), bytes.size());
  return good;
}

std::string secret_key_text(const KeyPair& pair) {
  return "# Tandem secret key of '" + pair.name + "'. Whoever has this file is '" + pair.name + "'.\nname " +
         pair.name + "\npublic_key " + pair.public_key + "\nsecret_key " + pair.secret_key.reveal() + "\n";
}

std::string public_key_text(const KeyPair& pair) {
  return "# Tandem public key of '" + pair.name + "'. Anybody may see it.\nname " + pair.name +
         "\npublic_key " + pair.public_key + "\n";
}

Result<KeyPair> parse_key_pair(std::string_view text) {
  TANDEM_ASSIGN(const auto values, parse_lines(text));
  KeyPair pair;
  const auto name = values.find("name");
  if (name == values.end()) return fail(ErrorCode::kInvalid, "expected a line 'name NAME', found none");
  if (auto good = check_peer_name(name->second); !good) return fail_in("name", std::move(good).error());
  pair.name = name->second;
  TANDEM_ASSIGN(pair.public_key, take_key(values, "public_key"));
  TANDEM_ASSIGN(std::string secret_key, take_key(values, "secret_key"));
  pair.secret_key = Secret(std::move(secret_key));
  if (public_of(pair.secret_key) != pair.public_key) {
    return fail(ErrorCode::kInvalid,
                "expected a secret_key that belongs to public_key " + pair.public_key + ", found another");
  }
  return pair;
}

Result<KeyPair> load_key_pair(const std::filesystem::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return fail_errno(path, "open");
  if (!S_ISREG(info.st_mode)) return fail(ErrorCode::kInvalid, path.string() + ": expected a file");
  if ((info.st_mode & 077) != 0) {
    constexpr std::string_view kDigits = "01234567";
    std::string mode = "0";
    for (const int shift : {6, 3, 0}) mode += kDigits[(info.st_mode >> shift) & 7];
    return fail(ErrorCode::kInvalid,
                path.string() +
                    ": expected a secret key file that only its owner can read (mode 0600), "
                    "found mode " +
                    mode + "; chmod 600 " + path.string());
  }
  TANDEM_ASSIGN(const std::string text, read_file(path, kKeyFileBytesMax));
  auto pair = parse_key_pair(text);
  if (!pair) return fail_in(path.string(), std::move(pair).error());
  return pair;
}

Result<void> save_key_pair(const std::filesystem::path& path, const KeyPair& pair) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return fail_errno(path, "create");
  const std::string text = secret_key_text(pair);
  // A few hundred bytes go to a file at once or the disk is full.
  const bool written =
      ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  if (!written) {
    auto failure = fail_errno(path, "write");
    ::close(fd);
    ::unlink(path.c_str());
    return failure;
  }
  ::close(fd);
  return {};
}

Result<std::string> load_public_key(const std::string& key_or_path) {
  std::error_code ignored;
  if (!std::filesystem::exists(key_or_path, ignored)) {
    if (is_key(key_or_path)) return key_or_path;
    return fail(ErrorCode::kInvalid,
                "expected a public key of 40 characters or the path of a public key file, found neither");
  }
  TANDEM_ASSIGN(const std::string text, read_file(key_or_path, kKeyFileBytesMax));
  const auto values = parse_lines(text);
  if (!values) return fail_in(key_or_path, values.error());
  if (values->contains("secret_key")) {
    return fail(ErrorCode::kInvalid, key_or_path +
                                         ": expected a public key file, found a secret key file; give its "
                                         "public_key alone, the secret stays with its owner");
  }
  auto key = take_key(*values, "public_key");
  if (!key) return fail_in(key_or_path, std::move(key).error());
  return key;
}

Result<std::optional<ClientKeys>> load_client_keys(const std::filesystem::path& key_file,
                                                   const std::string& server_key) {
  if (key_file.empty() && server_key.empty()) return std::optional<ClientKeys>();
  if (key_file.empty()) {
    return fail(
        ErrorCode::kInvalid,
        "security.key_file: expected a file of `tandem keygen`, as security.server_key is given, found none");
  }
  if (server_key.empty()) {
    return fail(
        ErrorCode::kInvalid,
        "security.server_key: expected the broker's public key, as security.key_file is given, found none");
  }
  ClientKeys keys;
  auto own = load_key_pair(key_file);
  if (!own) return fail_in("security.key_file", std::move(own).error());
  keys.own = std::move(*own);
  std::string server_file = server_key;
  std::error_code ignored;
  if (!is_key(server_key) && !std::filesystem::exists(server_key, ignored)) {
    server_file = (key_file.parent_path() / server_key).string();
  }
  auto server = load_public_key(server_file);
  if (!server) return fail_in("security.server_key", std::move(server).error());
  keys.server_key = std::move(*server);
  return std::optional(std::move(keys));
}

}  // namespace tandem
