// The tokenizers of Qwen1.5 and Qwen3 themselves, which are not in the repository.

#include <gtest/gtest.h>

#include "tests/tokenizer/golden.h"
#include "worker/engine/tokenizer/chat_template.h"
#include "worker/engine/tokenizer/tokenizer.h"

namespace tandem::engine {
namespace {

class RealTokenizerTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    tokenizer_ = golden::real_tokenizer(GetParam());
    if (tokenizer_ == nullptr) GTEST_SKIP() << golden::kWhySkipped;
  }
  const Tokenizer* tokenizer_ = nullptr;
};

TEST_P(RealTokenizerTest, AgreesWithTheReference) {
  golden::expect_cases(*tokenizer_, golden::read_json(golden::shared_folder() / "golden" /
                                                      ("tokenizer_" + GetParam() + ".json"))["cases"]);
}

TEST_P(RealTokenizerTest, DecodesAsTheReferenceDoes) {
  const auto cases = golden::read_json("data/golden/golden/decode.json")["decode"];
  ASSERT_EQ(cases.size(), 102u);
  for (const auto& c : cases) {
    const auto ids = c["ids"].get<Tokens>();
    const auto text = c["text"].get<std::string>();
    EXPECT_EQ(tokenizer_->decode(ids, false), text) << c["case"];
    EXPECT_EQ(tokenizer_->decode(ids, true), c.value("text_skip_special", text)) << c["case"];
    StreamingDetokenizer stream(*tokenizer_);
    std::string streamed;
    for (const TokenId id : ids) streamed += stream.push(id);
    EXPECT_EQ(streamed + stream.finish(), tokenizer_->decode(ids)) << c["case"];
  }
}

TEST_P(RealTokenizerTest, EncodesInvalidUtf8AsTheVectorsHaveIt) {
  const auto cases = golden::read_json("data/golden/golden/decode.json")["invalid_utf8"];
  ASSERT_EQ(cases.size(), 10u);
  for (const auto& c : cases) {
    const auto hex = c["bytes_hex"].get<std::string>();
    std::string bytes;
    for (size_t i = 0; i < hex.size(); i += 2) {
      bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    }
    EXPECT_EQ(tokenizer_->encode(bytes), c["ids_after_replacement"].get<Tokens>()) << c["case"];
  }
}

TEST_P(RealTokenizerTest, EncodesChatPromptsAsTheReferenceDoesAndUsersTextsSafely) {
  const auto golden_chat = golden::read_ordered_json("data/golden/golden/chat.json");
  size_t n_cases = 0, n_safe = 0;
  for (const auto& c : golden_chat["cases"]) {
    const auto name = c["template"].get<std::string>();
    if (name.substr(0, 5) != GetParam().substr(0, 5)) continue;
    SCOPED_TRACE(c["case"].get<std::string>());
    const auto chat = ChatTemplate::recognise(golden_chat["templates"][name].get<std::string>());
    ASSERT_TRUE(chat) << chat.error().text;
    const auto [messages, tools] = golden::chat_of(c);
    bool spells_added_token = false;
    for (const ChatMessage& m : messages) {
      spells_added_token |= m.text.find("think>") != std::string::npos;
    }
    const auto pieces = chat->render(messages, c["add_generation_prompt"], tools);
    EXPECT_EQ(tokenizer_->encode(to_text(pieces)), c["ids"].get<Tokens>());

    const auto safe = tokenizer_->encode(pieces);
    ASSERT_TRUE(safe) << safe.error().text;
    ++n_cases;
    if (c.contains("ids_contents_plain")) {
      EXPECT_EQ(*safe, c["ids_contents_plain"].get<Tokens>());
      ++n_safe;
    } else if (!spells_added_token) {
      EXPECT_EQ(*safe, c["ids"].get<Tokens>());
    }
  }
  EXPECT_EQ(n_cases, GetParam() == "qwen3" ? 48u : 21u);
  EXPECT_GE(n_safe, 1u);
}

INSTANTIATE_TEST_SUITE_P(Qwen, RealTokenizerTest, ::testing::Values("qwen1_5", "qwen3"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace tandem::engine
