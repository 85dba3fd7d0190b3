#include "worker/engine/tokenizer/word_piece.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "tests/tokenizer/golden.h"
#include "worker/engine/tokenizer/bert_words.h"

namespace tandem::engine {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kTinyFolder[] = "data/golden/models/bert-tiny";

const WordPieceTokenizer& tiny() {
  static const auto tokenizer = WordPieceTokenizer::load(kTinyFolder);
  return *tokenizer;
}

void expect_cases(const WordPieceTokenizer& tokenizer, const json& cases) {
  ASSERT_EQ(cases.size(), 343u);
  for (const auto& c : cases) {
    EXPECT_EQ(tokenizer.encode(c["text"].get<std::string>()), c["ids"].get<Tokens>())
        << c["case"] << " " << c["text"].dump().substr(0, 100);
  }
}

std::vector<std::string> words(std::string_view text, const BertWordRules& rules = {}) {
  std::vector<std::string> all;
  for_each_bert_word(text, rules, [&](std::string_view word) {
    all.emplace_back(word);
    return true;
  });
  return all;
}

// The file of the tiny tokenizer with one thing changed.
Error error_after(const std::function<void(json&)>& edit) {
  json file = golden::read_json(std::string(kTinyFolder) + "/tokenizer.json");
  edit(file);
  const auto tokenizer = WordPieceTokenizer::parse(file.dump());
  return tokenizer ? Error{ErrorCode::kInternal, "it loads"} : tokenizer.error();
}

TEST(WordPieceTest, AgreesWithTheReferenceOnTheTinyVocabulary) {
  expect_cases(tiny(), golden::read_json("data/golden/golden/tokenizer_bert_tiny.json")["cases"]);
}

TEST(WordPieceTest, AgreesWithTheReferenceOnTheRealVocabulary) {
  const auto folder = golden::shared_folder();
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << golden::kWhySkipped;
  const auto real = WordPieceTokenizer::load(folder / "tokenizers/bert_uncased");
  ASSERT_TRUE(real) << real.error().text;
  expect_cases(*real, golden::read_json(folder / "golden/tokenizer_bert_uncased.json")["cases"]);
}

TEST(WordPieceTest, CutsALongTextBehindAndKeepsTheMarks) {
  const std::string text = "The weather is lovely today.";
  const Tokens whole = tiny().encode(text);
  for (size_t n = 2; n < whole.size(); ++n) {
    Tokens expected(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n - 1));
    expected.push_back(whole.back());
    EXPECT_EQ(tiny().encode(text, n), expected);
  }
  EXPECT_EQ(tiny().encode(text, whole.size()), whole);
  EXPECT_EQ(tiny().encode(text, whole.size() + 1), whole);
}

// Long texts are worked on in pieces; where they are cut must not show.
TEST(WordPieceTest, GivesALongTextTheIdsOfItsParts) {
  std::string text;
  Tokens expected = {tiny().encode("").front()};
  for (int i = 0; i < 3000; ++i) {
    const std::string part = i % 7 == 0 ? "e\u0301cole " : i % 5 == 0 ? "\u5317\u4eac, " : "semantic caches ";
    text += part;
    const Tokens ids = tiny().encode(part);
    expected.insert(expected.end(), ids.begin() + 1, ids.end() - 1);
  }
  expected.push_back(tiny().encode("").back());
  EXPECT_EQ(tiny().encode(text), expected);
}

TEST(WordPieceTest, DropsInvalidUtf8) {
  EXPECT_EQ(tiny().encode("he\xff\xc3llo\xe2\x82"), tiny().encode("hello"));
}

TEST(BertWordsTest, FollowsItsRulesOneByOne) {
  const std::string text = "D\u00e9j\u00e0-VU\u4f60";
  EXPECT_THAT(words(text), ElementsAre("deja", "-", "vu", "\u4f60"));
  EXPECT_THAT(words(text, {.split_chinese = false}), ElementsAre("deja", "-", "vu\u4f60"));
  EXPECT_THAT(words(text, {.strip_accents = false}), ElementsAre("d\u00e9j\u00e0", "-", "vu", "\u4f60"));
  EXPECT_THAT(words(text, {.lowercase = false}), ElementsAre("Deja", "-", "VU", "\u4f60"));
  EXPECT_THAT(words("a\x01\x62"), ElementsAre("ab"));
  EXPECT_THAT(words("a\x01\x62", {.clean = false}), ElementsAre("a\x01\x62"));
  EXPECT_THAT(words("\u0130", {.strip_accents = false}), ElementsAre("i\u0307"));
}

TEST(BertWordsTest, StopsWhenTheCallerHasEnough) {
  size_t n = 0;
  for_each_bert_word("a b c d", {}, [&](std::string_view) { return ++n < 2; });
  EXPECT_EQ(n, 2u);
}

TEST(WordPieceTest, RefusesOtherTokenizersByName) {
  const auto unsupported = [](const std::function<void(json&)>& edit, const char* part, const char* found) {
    const Error error = error_after(edit);
    EXPECT_EQ(error.code, ErrorCode::kUnsupported) << error.text;
    EXPECT_THAT(error.text, AllOf(HasSubstr(part), HasSubstr(found)));
  };
  unsupported([](json& f) { f["model"]["type"] = "BPE"; }, "model", "BPE");
  unsupported([](json& f) { f["normalizer"]["type"] = "NFC"; }, "normalizer", "NFC");
  unsupported([](json& f) { f["pre_tokenizer"] = nullptr; }, "pre_tokenizer", "null");
  unsupported([](json& f) { f["post_processor"]["type"] = "ByteLevel"; }, "post_processor", "ByteLevel");
  unsupported([](json& f) { f["added_tokens"][4]["lstrip"] = true; }, "lstrip", "[MASK]");
  unsupported([](json& f) { f["post_processor"]["single"] = f["post_processor"]["pair"]; }, "post_processor",
              "type_id");
}

TEST(WordPieceTest, SaysWhatIsBrokenInItsFile) {
  const auto corrupt = [](const std::function<void(json&)>& edit, const char* part, const char* found) {
    const Error error = error_after(edit);
    EXPECT_EQ(error.code, ErrorCode::kCorrupt) << error.text;
    EXPECT_THAT(error.text, AllOf(HasSubstr(part), HasSubstr(found)));
  };
  corrupt([](json& f) { f["model"]["vocab"]["the"] = 5; }, "id 5", "the");
  corrupt([](json& f) { f["model"]["vocab"]["the"] = 100000; }, "ids 0 to 759", "100000");
  corrupt([](json& f) { f["model"]["vocab"]["the"] = -1; }, "ids 0 to 759", "-1");
  corrupt([](json& f) { f["model"]["unk_token"] = "[WHAT]"; }, "unk_token", "[WHAT]");
  corrupt([](json& f) { f["model"]["continuing_subword_prefix"] = ""; }, "prefix", "\"\"");
  corrupt([](json& f) { f["model"]["max_input_chars_per_word"] = 1e9; }, "max_input_chars", "1000");
  corrupt([](json& f) { f["added_tokens"][0]["id"] = 7; }, "[PAD]", "7");
  corrupt([](json& f) { f["normalizer"]["lowercase"] = "yes"; }, "lowercase", "yes");
  corrupt([](json& f) { f["post_processor"]["special_tokens"]["[CLS]"]["ids"] = {4000}; }, "ids", "4000");
  const auto cut_off = WordPieceTokenizer::parse("{\"model\":");
  EXPECT_EQ(cut_off.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(WordPieceTokenizer::load("no/such/folder").error().code, ErrorCode::kNotFound);
}

// Older files name the marks in another way; the ids come out the same.
TEST(WordPieceTest, ReadsBothWaysToWriteTheMarks) {
  json file = golden::read_json(std::string(kTinyFolder) + "/tokenizer.json");
  file["post_processor"] = {
      {"type", "BertProcessing"}, {"sep", {"[SEP]", 3}}, {"cls", json::array({"[CLS]", 2})}};
  const auto older = WordPieceTokenizer::parse(file.dump());
  ASSERT_TRUE(older) << older.error().text;
  EXPECT_EQ(older->encode("hello"), tiny().encode("hello"));
}

}  // namespace
}  // namespace tandem::engine
