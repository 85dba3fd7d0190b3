#include "worker/engine/tokenizer/tokenizer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "tests/tokenizer/golden.h"
#include "worker/engine/tokenizer/tokenizer.h"

namespace tandem::engine {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

const json& good() {
  static const json value = golden::read_json("data/golden/models/qwen3-tiny/tokenizer.json");
  return value;
}

// Changes the good file, parses it and returns the error as "code: text".
std::string mistake(const std::function<void(json&)>& change) {
  json file = good();
  change(file);
  const auto tokenizer = Tokenizer::parse(file.dump());
  return tokenizer ? "none" : std::string(to_string(tokenizer.error().code)) + ": " + tokenizer.error().text;
}

TEST(TokenizerJsonTest, TakesTheGoodFile) {
  EXPECT_EQ(mistake([](json&) {}), "none");
  EXPECT_EQ(mistake([](json& f) { f["normalizer"] = nullptr; }), "none");
  EXPECT_EQ(mistake([](json& f) { f["post_processor"] = nullptr; }), "none");
}

TEST(TokenizerJsonTest, SaysWhereTheJsonBreaks) {
  const std::string text = good().dump();
  const auto cut = Tokenizer::parse(std::string_view(text).substr(0, text.size() / 2));
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(cut.error().text, HasSubstr("at byte " + std::to_string(text.size() / 2 + 1)));
  EXPECT_THAT(cut.error().text, HasSubstr("line 1"));

  EXPECT_EQ(parse_tokenizer_json("").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(parse_tokenizer_json("[]").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(parse_tokenizer_json("\xFF\xFE").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(parse_tokenizer_json(std::string(1u << 20, '[')).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(parse_tokenizer_json("{}").error().code, ErrorCode::kUnsupported);
}

TEST(TokenizerJsonTest, NamesTheKindOfTokenizerItCannotBe) {
  EXPECT_EQ(mistake([](json& f) { f["model"]["type"] = "WordPiece"; }),
            "unsupported: model: expected a byte-level \"BPE\", found \"WordPiece\"");
  EXPECT_THAT(mistake([](json& f) { f["model"]["type"] = "Unigram"; }), HasSubstr("found \"Unigram\""));
  EXPECT_EQ(mistake([](json& f) {
              f["normalizer"] = {{"type", "Lowercase"}};
            }),
            "unsupported: normalizer: expected \"NFC\" or none, found \"Lowercase\"");
  EXPECT_THAT(
      mistake([](json& f) {
        f["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
      }),
      HasSubstr("unsupported: pre_tokenizer: expected a \"Sequence\" of Split and ByteLevel, found \"Bert"));
  EXPECT_THAT(mistake([](json& f) { f["pre_tokenizer"] = nullptr; }), HasSubstr("found null"));
  EXPECT_THAT(mistake([](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["type"] = "Digits"; }),
              HasSubstr("expected \"Split\" as the first, found \"Digits\""));
  EXPECT_THAT(mistake([](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed"; }),
              HasSubstr("found \"Removed\""));
  EXPECT_THAT(mistake([](json& f) {
                f["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {{"String", " "}};
              }),
              HasSubstr("expected a Split by \"Regex\", found {\"String\":\" \"}"));
  EXPECT_THAT(mistake([](json& f) { f["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = true; }),
              HasSubstr("unsupported: pre_tokenizer: expected add_prefix_space false"));
  EXPECT_THAT(mistake([](json& f) { f["pre_tokenizer"]["pretokenizers"][1].erase("use_regex"); }),
              HasSubstr("expected use_regex false"));
  EXPECT_THAT(mistake([](json& f) {
                f["post_processor"] = {{"type", "TemplateProcessing"}};
              }),
              HasSubstr("unsupported: post_processor"));
  EXPECT_THAT(mistake([](json& f) {
                f["decoder"] = {{"type", "WordPiece"}};
              }),
              HasSubstr("unsupported: decoder"));
  EXPECT_THAT(mistake([](json& f) { f["model"]["byte_fallback"] = true; }),
              HasSubstr("expected no byte_fallback"));
  EXPECT_THAT(mistake([](json& f) { f["model"]["continuing_subword_prefix"] = "##"; }),
              HasSubstr("found \"##\""));
  EXPECT_THAT(mistake([](json& f) { f["added_tokens"][0]["lstrip"] = true; }),
              HasSubstr("unsupported: added_tokens: expected lstrip false, found true for '<|endoftext|>'"));
  EXPECT_THAT(mistake([](json& f) {
                f["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {{"Regex", "a(b"}};
              }),
              HasSubstr("unsupported: cannot read the split pattern"));
}

TEST(TokenizerJsonTest, NamesTheIdThatDoesNotFit) {
  EXPECT_EQ(mistake([](json& f) { f["model"]["vocab"]["!"] = 4096; }),
            "corrupt: vocabulary: expected the ids 0 to 1023 once each, found 4096 for '!' and none with 0");
  EXPECT_THAT(mistake([](json& f) { f["model"]["vocab"]["!"] = -1; }), HasSubstr("found -1 for '!'"));
  EXPECT_THAT(mistake([](json& f) { f["model"]["vocab"]["!"] = 99999999999u; }),
              HasSubstr("found 99999999999 for '!'"));
  EXPECT_THAT(mistake([](json& f) { f["model"]["vocab"]["!"] = 1; }),
              HasSubstr("corrupt: vocabulary: id 1 is given twice"));
  EXPECT_THAT(mistake([](json& f) { f["model"]["vocab"]["!"] = "zero"; }),
              HasSubstr("corrupt: model.vocab: expected a number for token '!', found \"zero\""));
  EXPECT_THAT(mistake([](json& f) {
                f["model"]["vocab"]["!"] = json::object({{"deep", 1}});
              }),
              HasSubstr("found an object or array"));
  EXPECT_THAT(mistake([](json& f) { f["model"]["vocab"].erase("!"); }),
              HasSubstr("corrupt: vocabulary: expected the ids"));
  EXPECT_THAT(mistake([](json& f) { f["added_tokens"][2]["id"] = 5000; }),
              HasSubstr("found 5000 for '<|im_end|>'"));
  EXPECT_THAT(mistake([](json& f) { f["added_tokens"][2]["id"] = 5; }), HasSubstr("id 5 is given twice"));
  EXPECT_THAT(mistake([](json& f) { f["added_tokens"][2].erase("id"); }), HasSubstr("corrupt: added_tokens"));
  EXPECT_THAT(mistake([](json& f) { f["added_tokens"][2]["content"] = "<|im_start|>"; }),
              HasSubstr("is there twice"));
  EXPECT_THAT(mistake([](json& f) { f["added_tokens"][2]["content"] = "!"; }),
              HasSubstr("but 0 in model.vocab"));
}

// JSON readers keep one of two equal keys and say nothing.
TEST(TokenizerJsonTest, SeesATokenThatIsThereTwice) {
  std::string text = good().dump();
  const std::string first = "\"vocab\":{";
  text.insert(text.find(first) + first.size(), "\"!\":1024,");
  const auto tokenizer = Tokenizer::parse(text);
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error(), (Error{ErrorCode::kCorrupt, "model.vocab: '!' is there twice"}));
}

// Or plain text could become one.
TEST(TokenizerJsonTest, RefusesMergesThatMakeAnAddedToken) {
  EXPECT_THAT(mistake([](json& f) {
                const int id = f["model"]["vocab"]["in"];
                f["added_tokens"].push_back({{"content", "in"}, {"id", id}, {"special", true}});
              }),
              HasSubstr("makes the added token 'in'"));
}

TEST(TokenizerJsonTest, SeesAVocabularyThatIsNotByteLevel) {
  EXPECT_THAT(mistake([](json& f) {
                f["model"]["vocab"].erase("!");
                f["model"]["vocab"]["\u2581the"] = 0;
              }),
              HasSubstr("unsupported: vocabulary: expected byte-level tokens, found '\u2581the' with id 0"));
  // "!" becomes the second spelling of nothing else, and byte 33 has no token.
  EXPECT_THAT(mistake([](json& f) {
                f["model"]["vocab"].erase("!");
                f["model"]["vocab"]["!!!!!!"] = 0;
              }),
              HasSubstr("byte 33"));
}

TEST(TokenizerJsonTest, NamesTheMergeThatDoesNotFit) {
  EXPECT_THAT(mistake([](json& f) { f["model"]["merges"][3] = "e"; }),
              HasSubstr("corrupt: merge 3: expected two tokens, found 'e'"));
  EXPECT_THAT(mistake([](json& f) { f["model"]["merges"][3] = "e r x"; }), HasSubstr("found 'e r x'"));
  EXPECT_THAT(mistake([](json& f) { f["model"]["merges"][3] = json::array({"e"}); }),
              HasSubstr("merge 3: expected two tokens, found 1"));
  EXPECT_THAT(mistake([](json& f) {
                f["model"]["merges"][3] = json::array({"e", "r", "x"});
              }),
              HasSubstr("merge 3"));
  EXPECT_THAT(mistake([](json& f) { f["model"]["merges"][3] = 7; }),
              HasSubstr("merge 3: expected two tokens, found 7"));
  EXPECT_THAT(mistake([](json& f) {
                f["model"]["merges"][3] = json::array({"e", json::array()});
              }),
              HasSubstr("merge 3"));
  EXPECT_THAT(mistake([](json& f) {
                f["model"]["merges"][3] = json::array({"qq", "r"});
              }),
              HasSubstr("corrupt: merge 3: 'qq' is not in the vocabulary"));
  EXPECT_THAT(mistake([](json& f) {
                f["model"]["merges"][3] = json::array({"!", "q"});
              }),
              HasSubstr("merge 3: '!q' is not in the vocabulary"));
  EXPECT_THAT(mistake([](json& f) { f["model"]["merges"][3] = f["model"]["merges"][2]; }),
              HasSubstr("is there twice"));
  EXPECT_THAT(mistake([](json& f) { f["model"].erase("merges"); }),
              HasSubstr("corrupt: model: has no merges"));
  EXPECT_THAT(mistake([](json& f) { f["model"]["merges"] = json::object(); }),
              HasSubstr("expected an array"));
  EXPECT_THAT(mistake([](json& f) { f["model"]["vocab"] = json::array(); }), HasSubstr("expected an object"));
}

// A file of wrong types everywhere gets an error, never a crash.
TEST(TokenizerJsonTest, SurvivesWrongTypesInEveryPlace) {
  const json values[] = {nullptr, true, 0, -1, "x", json::array(), json::object(), json::array({1, "a"}),
                         1e300};
  for (const std::string pointer : {"/model",
                                    "/model/type",
                                    "/model/vocab",
                                    "/model/merges",
                                    "/model/ignore_merges",
                                    "/model/dropout",
                                    "/normalizer",
                                    "/normalizer/type",
                                    "/pre_tokenizer",
                                    "/pre_tokenizer/type",
                                    "/pre_tokenizer/pretokenizers",
                                    "/pre_tokenizer/pretokenizers/0",
                                    "/pre_tokenizer/pretokenizers/0/pattern",
                                    "/pre_tokenizer/pretokenizers/0/pattern/Regex",
                                    "/pre_tokenizer/pretokenizers/0/invert",
                                    "/pre_tokenizer/pretokenizers/1",
                                    "/pre_tokenizer/pretokenizers/1/use_regex",
                                    "/decoder",
                                    "/post_processor",
                                    "/added_tokens",
                                    "/added_tokens/0",
                                    "/added_tokens/0/id",
                                    "/added_tokens/0/content",
                                    "/added_tokens/0/special"}) {
    for (const json& value : values) {
      const std::string outcome = mistake([&](json& f) { f[json::json_pointer(pointer)] = value; });
      EXPECT_TRUE(outcome == "none" || outcome.starts_with("corrupt") || outcome.starts_with("unsupported"))
          << pointer << " = " << value << ": " << outcome;
    }
  }
}

// ignore_merges: a piece that is a token is that token, even where merging would end elsewhere.
TEST(TokenizerJsonTest, HonoursIgnoreMerges) {
  json file = good();
  // "qzq" has no merges that lead to it.
  file["model"]["vocab"]["qzq"] = 1024;
  const auto merging = Tokenizer::parse(file.dump());
  ASSERT_TRUE(merging) << merging.error().text;
  EXPECT_EQ(merging->encode("qzq").size(), 3u);
  file["model"]["ignore_merges"] = true;
  const auto looking_up = Tokenizer::parse(file.dump());
  ASSERT_TRUE(looking_up) << looking_up.error().text;
  EXPECT_EQ(looking_up->encode("qzq"), Tokens{1024});
}

}  // namespace
}  // namespace tandem::engine
