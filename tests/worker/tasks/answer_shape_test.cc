// Answers that are held to a shape: kind = "choice", "regex" and "json".

#include "tests/worker/tasks/support.h"
#include "worker/engine/constraint/automaton.h"
#include "worker/tasks/prompt.h"

namespace tandem {
namespace {

using namespace tandem::testing;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string with_answer(const std::string& answer, const std::string& rest = "") {
  return "version = 1\n[prompt]\nuser = \"{text}\"\n[answer]\n" + answer + "\n" + rest;
}

TEST(AnswerShape, AChoiceIsAText) {
  const Task task = parsed(with_answer("kind = \"choice\"\nchoices = [\"red\", \"dark red\"]"));
  EXPECT_EQ(task.answer, AnswerKind::kText);
  EXPECT_EQ(task.shape, TextShape::kChoice);
  EXPECT_TRUE(engine::fits(task.grammar, "dark red"));
  EXPECT_FALSE(engine::fits(task.grammar, "dark"));
  EXPECT_EQ(task.tokens_max, 128u);
}

TEST(AnswerShape, ARegexFitsTheWholeAnswer) {
  const Task task = parsed(with_answer(R"(kind = "regex"
pattern = '\d{4}-\d\d')"));
  EXPECT_EQ(task.shape, TextShape::kRegex);
  EXPECT_TRUE(engine::fits(task.grammar, "2026-11"));
  EXPECT_FALSE(engine::fits(task.grammar, "2026-11-21"));
}

TEST(AnswerShape, JsonNeedsNoSchema) {
  EXPECT_TRUE(engine::fits(parsed(with_answer("kind = \"json\"")).grammar, "[1, 2]"));
  const Task task = parsed(with_answer(R"(kind = "json"
schema = '''{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}''')"));
  EXPECT_EQ(task.shape, TextShape::kJson);
  EXPECT_TRUE(engine::fits(task.grammar, R"({"a": 1})"));
  EXPECT_FALSE(engine::fits(task.grammar, "[1, 2]"));
}

TEST(AnswerShape, AFreeTextHasNone) {
  const Task task = parsed(kEcho);
  EXPECT_EQ(task.shape, TextShape::kFree);
  EXPECT_EQ(task.grammar, nullptr);
}

TEST(AnswerShape, MistakesAreToldWithTheirPlace) {
  EXPECT_THAT(mistakes(with_answer("kind = \"choice\"")), HasSubstr("choices"));
  EXPECT_THAT(mistakes(with_answer("kind = \"choice\"\nchoices = []")),
              HasSubstr("expected 1 to 4096 choices"));
  EXPECT_THAT(mistakes(with_answer("kind = \"regex\"")), HasSubstr("pattern"));
  EXPECT_THAT(mistakes(with_answer("kind = \"regex\"\npattern = \"a(\"")),
              AllOf(HasSubstr("task.toml:6"), HasSubstr("regex, character 3: expected ) of a group")));
  EXPECT_THAT(mistakes(with_answer("kind = \"json\"\nschema = '{\"oneOf\": []}'")),
              HasSubstr("JSON schema, /oneOf"));
  EXPECT_THAT(mistakes(with_answer("kind = \"xml\"")),
              HasSubstr("expected one of label, text, choice, regex, json"));
}

TEST(AnswerShape, KeysOfOtherKindsAreMistakes) {
  EXPECT_THAT(mistakes(with_answer("kind = \"text\"\nchoices = [\"a\"]")),
              HasSubstr("choices: expected with kind = \"choice\" only"));
  EXPECT_THAT(mistakes(with_answer("kind = \"json\"\npattern = \"a\"")),
              HasSubstr("pattern: expected with kind = \"regex\" only"));
  EXPECT_THAT(mistakes(with_answer("kind = \"regex\"\npattern = \"a\"\nschema = \"{}\"")),
              HasSubstr("schema: expected with kind = \"json\" only"));
  EXPECT_THAT(mistakes(with_answer("kind = \"json\"\nmargin_min = 0.5")), HasSubstr("margin_min"));
}

TEST(AnswerShape, WhatWouldCutOrBanIsAMistake) {
  const std::string json = "kind = \"json\"";
  EXPECT_THAT(mistakes(with_answer(json, "[decode]\nstop = [\"}\"]")),
              HasSubstr("ends where its shape does"));
  EXPECT_THAT(mistakes(with_answer(json, "[decode]\nno_repeat_ngram = 3")),
              HasSubstr("ends where its shape does"));
  EXPECT_EQ(mistakes(with_answer(json, "[decode]\ntemperature = 1\ntokens_max = 300")), "");
}

// A job's stop strings are meant for its other tasks, such as a reply.
TEST(AnswerShape, AJobsStopsAndBansDoNotApply) {
  const Task task = parsed(with_answer("kind = \"json\""));
  DecodeOverrides overrides;
  overrides.stop = {"}"};
  overrides.no_repeat_ngram = 3;
  overrides.tokens_max = 9;
  const auto settings = decode_settings(task, overrides, {1});
  ASSERT_TRUE(settings);
  EXPECT_TRUE(settings->stop.empty());
  EXPECT_EQ(settings->sampler.no_repeat_ngram, 0u);
  EXPECT_EQ(settings->tokens_max, 9u);
  overrides.no_repeat_ngram = 1000;
  EXPECT_FALSE(decode_settings(task, overrides, {1})) << "out of range is out of range";
}

TEST(AnswerShape, ChangesTheFingerprint) {
  std::set<std::string> seen;
  for (const char* answer :
       {"kind = \"text\"", "kind = \"json\"", "kind = \"json\"\nschema = \"true\"",
        "kind = \"regex\"\npattern = \"true\"", "kind = \"regex\"\npattern = \"a\"",
        "kind = \"choice\"\nchoices = [\"true\"]", "kind = \"choice\"\nchoices = [\"true\", \"a\"]"}) {
    EXPECT_TRUE(seen.insert(parsed(with_answer(answer)).fingerprint).second) << answer;
  }
}

TEST(Speculation, ChangesSpeedOnly) {
  const Task task = parsed(std::string(kEcho) + "[decode]\nspeculate = true\n");
  EXPECT_TRUE(task.speculate);
  EXPECT_FALSE(parsed(kEcho).speculate);
  EXPECT_EQ(task.fingerprint, parsed(kEcho).fingerprint) << "cached answers stay good";
}

TEST(Speculation, IsForTexts) {
  EXPECT_THAT(mistakes(with_answer(
                  "kind = \"label\"\nlabels = [{ id = \"a\", say = \"A\" }, { id = \"b\", say = \"B\" }]",
                  "[decode]\nspeculate = true")),
              HasSubstr("speculate: expected with an answer of text only"));
}

}  // namespace
}  // namespace tandem
