// Whatever is in an allow file or a key file, it is read or refused with a text, and the text never quotes
// what stands where a secret should be.
//
// An input is: which (even: an allow file, odd: a key file), the file.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "shared/net/allowlist.h"
#include "shared/net/keys.h"

namespace tandem {
namespace {

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "keys_fuzz: expected that %s\n", what);
  std::abort();
}

void read_allowlist(std::string_view text) {
  const auto list = Allowlist::parse(text);
  if (!list) {
    check(!list.error().text.empty(), "an error has a text");
    return;
  }
  std::string again = "# as it was read\n";
  for (const auto& [key, peer] : list->peers()) {
    check(is_key(key) && check_peer_name(peer.name).has_value(), "what is let in has a key and a name");
    again += allow_line(peer, key);
    if (again.back() != '\n') again += '\n';
  }
  const auto reread = Allowlist::parse(again);
  check(reread && reread->peers() == list->peers(), "a list is read as it was written");
}

// Eight characters of a secret are no accident, unless they could be of a word.
void check_silence(std::string_view file, std::string_view error) {
  const std::string_view word = "secret_key ";
  const size_t at = file.find(word);
  if (at == std::string_view::npos) return;
  const std::string_view secret = file.substr(at + word.size(), 8);
  if (secret.size() < 8 || secret.find_first_not_of("abcdefghijklmnopqrstuvwxyz_ ") == std::string_view::npos)
    return;
  check(error.find(secret) == std::string_view::npos, "an error does not quote a secret");
}

void read_key_file(std::string_view text) {
  const auto pair = parse_key_pair(text);
  if (!pair) {
    check(!pair.error().text.empty(), "an error has a text");
    check_silence(text, pair.error().text);
    return;
  }
  const auto again = parse_key_pair(secret_key_text(*pair));
  check(again && again->public_key == pair->public_key && again->name == pair->name &&
            again->secret_key.reveal() == pair->secret_key.reveal(),
        "a key file is read as it was written");
}

}  // namespace
}  // namespace tandem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
  if (n_bytes == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, n_bytes - 1);
  if (data[0] % 2 == 0) {
    tandem::read_allowlist(text);
  } else {
    tandem::read_key_file(text);
  }
  return 0;
}
