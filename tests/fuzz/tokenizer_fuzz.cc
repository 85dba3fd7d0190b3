// Any bytes as a tokenizer.json, and any bytes as a text. Runs in tests/, for data/golden.

#include <cstdio>
#include <cstdlib>

#include "shared/base/assert.h"
#include "shared/base/utf8.h"
#include "worker/engine/tokenizer/nfc.h"
#include "worker/engine/tokenizer/tokenizer.h"

namespace {

using tandem::engine::StreamingDetokenizer;
using tandem::engine::TokenId;
using tandem::engine::Tokenizer;
using tandem::engine::Tokens;

const Tokenizer& tiny() {
  static const auto tokenizer = Tokenizer::load("data/golden/models/qwen2-tiny-f32");
  TANDEM_ASSERT(tokenizer, "started in the folder tests/");
  return *tokenizer;
}

void check_text(const Tokenizer& tokenizer, std::string_view text, bool normalises) {
  const Tokens plain = tokenizer.encode_plain(text);
  const std::string valid = tandem::utf8_lossy(text);
  TANDEM_ASSERT(!normalises || tokenizer.decode(plain) == tandem::engine::to_nfc(valid), "no text is lost");
  for (const TokenId id : plain) TANDEM_ASSERT(!tokenizer.is_special(id), "plain text has no control tokens");

  const Tokens ids = tokenizer.encode(text);
  StreamingDetokenizer stream(tokenizer);
  std::string streamed;
  for (const TokenId id : ids) streamed += stream.push(id);
  streamed += stream.finish();
  TANDEM_ASSERT(streamed == tokenizer.decode(ids), "streaming gives what decoding gives");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check_text(tiny(), input, true);
  if (const auto parsed = Tokenizer::parse(input)) {
    check_text(*parsed, "It's 10 \xE4\xBD\xA0\xE5\xA5\xBD e\xCC\x81<|im_end|> \xFF\n", false);
  }
  return 0;
}
