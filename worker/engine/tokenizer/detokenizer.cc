#include <utility>

#include "shared/base/utf8.h"
#include "worker/engine/tokenizer/tokenizer.h"

namespace tandem::engine {
namespace {

// How many bytes at the end of `bytes` are the beginning of a character that may still be completed: 0 to 3.
size_t unfinished_tail(std::string_view bytes) {
  for (size_t n = 1; n <= 3 && n <= bytes.size(); ++n) {
    const auto lead = static_cast<uint8_t>(bytes[bytes.size() - n]);
    if ((lead & 0xC0) == 0x80) continue;  // inside a character
    const size_t needed = lead < 0xC2 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 1;
    if (needed <= n) return 0;
    // What no continuation can repair (E0 80, ED A0, F4 90) is more than one invalid part already.
    return utf8_lossy(bytes.substr(bytes.size() - n)) == "\uFFFD" ? n : 0;
  }
  return 0;
}

}  // namespace

std::string StreamingDetokenizer::push(TokenId id) {
  if (tokenizer_->is_special(id)) return {};
  pending_ += tokenizer_->token_bytes(id);
  const size_t n_certain = pending_.size() - unfinished_tail(pending_);
  std::string text = utf8_lossy(std::string_view(pending_).substr(0, n_certain));
  pending_.erase(0, n_certain);
  return text;
}

std::string StreamingDetokenizer::finish() {
  return utf8_lossy(std::exchange(pending_, {}));
}

}  // namespace tandem::engine
