#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "shared/base/utf8.h"
#include "tests/tokenizer/golden.h"
#include "worker/engine/tokenizer/tokenizer.h"

namespace tandem::engine {
namespace {

const Tokenizer& tiny() {
  return golden::tiny_tokenizer();
}

Tokens byte_tokens(std::string_view bytes) {
  Tokens ids;
  for (const char byte : bytes) {
    for (TokenId id = 0; id < 256; ++id) {
      if (tiny().token_bytes(id) == std::string_view(&byte, 1)) ids.push_back(id);
    }
  }
  return ids;
}

std::vector<std::string> stream(const Tokens& ids) {
  StreamingDetokenizer detokenizer(tiny());
  std::vector<std::string> parts;
  for (const TokenId id : ids) parts.push_back(detokenizer.push(id));
  parts.push_back(detokenizer.finish());
  return parts;
}

TEST(StreamingDetokenizerTest, HoldsBackACharacterUntilItIsWhole) {
  EXPECT_THAT(stream(byte_tokens("a\u4F60\U0001F600")),
              ::testing::ElementsAre("a", "", "", "\u4F60", "", "", "", "\U0001F600", ""));
}

TEST(StreamingDetokenizerTest, ReplacesWhatCannotBecomeACharacter) {
  EXPECT_THAT(stream(byte_tokens("\xE4\xBDx")), ::testing::ElementsAre("", "", "\uFFFDx", ""));
  EXPECT_THAT(stream(byte_tokens("\xE4\xBD")), ::testing::ElementsAre("", "", "\uFFFD"));
  EXPECT_THAT(stream(byte_tokens("\xE0\x80")), ::testing::ElementsAre("", "\uFFFD\uFFFD", ""));
  EXPECT_THAT(stream(byte_tokens("\x80\xFF")), ::testing::ElementsAre("\uFFFD", "\uFFFD", ""));
}

// Skipping joins the bytes on both sides, as decode() does.
TEST(StreamingDetokenizerTest, PassesOverSpecialTokensInsideACharacter) {
  Tokens ids = byte_tokens("\u4F60");
  ids.insert(ids.begin() + 1, *tiny().special_id("<|im_end|>"));
  EXPECT_THAT(stream(ids), ::testing::ElementsAre("", "", "", "\u4F60", ""));
  EXPECT_EQ(tiny().decode(ids), "\u4F60");
}

// Random tokens are mostly broken UTF-8: every part must be whole, and all parts together what decode() says.
TEST(StreamingDetokenizerTest, EqualsDecodeForEverySequence) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 5000; ++round) {
    Tokens ids;
    const TokenId limit = round % 2 == 0 ? 256 : 1030;
    for (size_t n = random() % 30; n > 0; --n)
      ids.push_back(static_cast<TokenId>(random() % static_cast<unsigned>(limit)));
    std::string joined;
    for (const std::string& part : stream(ids)) {
      ASSERT_TRUE(check_utf8(part));
      joined += part;
    }
    ASSERT_EQ(joined, tiny().decode(ids));
  }
}

}  // namespace
}  // namespace tandem::engine
