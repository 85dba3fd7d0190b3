// Lines of input, good and bad, and the lines that come of them.

#include "client/cli/row.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace tandem::cli {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::StartsWith;

JobRequest defaults() {
  JobRequest job;
  job.tasks = {"sentiment", "reply"};
  return job;
}
JobRequest good(const std::string& line) {
  const InputRow row = parse_row(line, 1, defaults());
  EXPECT_TRUE(row.request) << row.request.error().text;
  return row.request.value_or(JobRequest{});
}
// "code: message"
std::string bad(const std::string& line) {
  const InputRow row = parse_row(line, 1, defaults());
  if (row.request) return "no error";
  return std::string(to_string(row.request.error().code)) + ": " + row.request.error().text;
}

TEST(Row, ATextAloneGetsTheDefaults) {
  const JobRequest job = good(R"({"text": "I love it"})");
  EXPECT_EQ(job.text, "I love it");
  EXPECT_THAT(job.tasks, ElementsAre("sentiment", "reply"));
  EXPECT_EQ(job.decode, DecodeOverrides{});
}

TEST(Row, AllThatALineMaySay) {
  const JobRequest job = good(R"({"prompt": "hi", "tasks": ["translate"], "variables": {"target": "French"},
    "max_tokens": 40, "temperature": 0.5, "top_k": 20, "top_p": 0.9, "repetition_penalty": 1, "no_repeat_ngram": 4,
    "seed": 18446744073709551615, "stop": "\n", "accept": "model", "store": false, "namespace": "mine"})");
  EXPECT_EQ(job.text, "hi");
  EXPECT_THAT(job.tasks, ElementsAre("translate"));
  EXPECT_THAT(job.variables, ElementsAre(Pair("target", "French")));
  EXPECT_EQ(job.decode.tokens_max, 40u);
  EXPECT_EQ(job.decode.temperature, 0.5);
  EXPECT_EQ(job.decode.top_k, 20u);
  EXPECT_EQ(job.decode.top_p, 0.9);
  EXPECT_EQ(job.decode.repetition_penalty, 1.0);
  EXPECT_EQ(job.decode.no_repeat_ngram, 4u);
  EXPECT_EQ(job.decode.seed, 18446744073709551615u);
  EXPECT_THAT(job.decode.stop.value(), ElementsAre("\n"));
  EXPECT_EQ(job.accept, AcceptSource::kModel);
  EXPECT_FALSE(job.store);
  EXPECT_EQ(job.cache_namespace, "mine");
}

TEST(Row, MessagesAreHistoryAndText) {
  const JobRequest job = good(
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
                       {"role": "user", "content": "c"}], "task": "reply"})");
  EXPECT_EQ(job.text, "c");
  EXPECT_THAT(job.history, ElementsAre(ChatTurn{"user", "a"}, ChatTurn{"assistant", "b"}));
  EXPECT_THAT(job.tasks, ElementsAre("reply"));
}

TEST(Row, OptionsMayStandInAnObjectOfTheirOwnWhereUnknownOnesAreRefused) {
  EXPECT_EQ(good(R"({"text": "x", "options": {"max_tokens": 3}})").decode.tokens_max, 3u);
  EXPECT_THAT(bad(R"({"text": "x", "options": {"max_token": 3}})"),
              AllOf(HasSubstr("max_tokens"), HasSubstr("'max_token'")));
}

struct BadLine {
  const char* line;
  const char* expected;
};

TEST(Row, WhatIsWrongIsNamed) {
  const BadLine lines[] = {
      {R"({"text": "broken)", "broken JSON at column"},
      {R"({"text": "x"} {)", "broken JSON"},
      {R"(just words)", "broken JSON"},
      {R"("text")", "expected a JSON object, found a string"},
      {R"([1, 2])", "expected a JSON object, found a list of 2"},
      {R"({})", "\"text\", \"prompt\" or \"messages\""},
      {R"({"text": ""})", "text: expected some text"},
      {R"({"text": null})", "text: expected a string, found null"},
      {R"({"text": 7})", "text: expected a string, found 7"},
      {R"({"text": "x", "prompt": "y"})", "found both"},
      {R"({"text": "x", "task": "a", "tasks": ["b"]})", "found both"},
      {R"({"text": "x", "tasks": []})", "tasks: expected at least one"},
      {R"({"text": "x", "tasks": "a,b"})", "tasks: expected a list"},
      {R"({"text": "x", "tasks": [1]})", "tasks[0]: expected a string"},
      {R"({"text": "x", "id": 1.5})", "id: expected a string or a whole number"},
      {R"({"text": "x", "max_tokens": -1})",
       "max_tokens: expected a whole number from 0 to 4294967295, found -1"},
      {R"({"text": "x", "max_tokens": 1e3})", "max_tokens: expected a whole number"},
      {R"({"text": "x", "max_tokens": 5000000000})", "max_tokens"},
      {R"({"text": "x", "temperature": "hot"})", "temperature: expected a number"},
      {R"({"text": "x", "temperature": -0.1})",
       "temperature: expected a number that is not negative, found -0.1"},
      {R"({"text": "x", "stop": 5})", "stop: expected a list of strings"},
      {R"({"text": "x", "accept": "anything"})", "accept: expected \"any\", \"exact\" or \"model\""},
      {R"({"text": "x", "store": 1})", "store: expected true or false"},
      {R"({"text": "x", "variables": ["a"]})", "variables: expected an object"},
      {R"({"text": "x", "variables": {"n": 3}})", "variables.n: expected a string"},
      {R"({"messages": []})", "messages: expected a list of messages"},
      {R"({"messages": [{"role": "user"}]})", "messages[0]"},
      {R"({"messages": [{"role": "robot", "content": "x"}]})", "messages[0].role"},
      {R"({"messages": [{"role": "assistant", "content": "x"}]})", "expected user in the last message"},
      {"{\"text\": \"\xC3\x28\"}", "UTF-8"},
      {R"({"text": "\ud800"})", "broken JSON"},
  };
  for (const BadLine& line : lines) {
    EXPECT_THAT(bad(line.line), AllOf(StartsWith("invalid: "), HasSubstr(line.expected))) << line.line;
  }
}

TEST(Row, ATextOfTenMegabytesIsTooLongAndIsNotRepeatedInTheOutput) {
  const std::string line = R"({"id": "big", "text": ")" + std::string(10u << 20, 'x') + R"("})";
  const InputRow row = parse_row(line, 1, defaults());
  ASSERT_FALSE(row.request);
  EXPECT_EQ(row.request.error().code, ErrorCode::kTooLong);
  EXPECT_EQ(row.fields, R"({"id":"big"})");
}

// A reader that recursed would run out of stack here, for all rows of the file.
TEST(Row, AThousandTimesNestedLineIsRefused) {
  EXPECT_THAT(
      bad("{\"text\": \"x\", \"deep\": " + std::string(100'000, '[') + std::string(100'000, ']') + "}"),
      HasSubstr("nested at most 64 deep"));
}

TEST(Row, OtherFieldsAreCarriedThroughInTheirOrder) {
  const InputRow row = parse_row(
      R"({"shop": {"b": 1, "a": [2]}, "text": "好", "id": 7, "results": 1, "error": 2})", 3, defaults());
  EXPECT_EQ(row.fields, R"({"id":7,"shop":{"b":1,"a":[2]},"text":"好"})");
}

TEST(Row, ALineWithoutAnIdIsCalledByItsNumber) {
  EXPECT_EQ(parse_row(R"({"text": "x"})", 12, defaults()).fields, R"({"id":"line-12","text":"x"})");
}

JobResult result_of(std::vector<TaskResult> tasks) {
  JobResult result;
  result.tasks = std::move(tasks);
  return result;
}
TaskResult sentiment() {
  TaskResult task;
  task.task = "sentiment";
  task.label = LabelAnswer{"positive", "😄 Positive", 0.9871234567, 0.97, {{"positive", 0.9871234567}}, ""};
  task.source = AnswerSource::kExact;
  task.usage.computed_tokens = 3;
  task.timings.total_us = 1500;
  return task;
}
TaskResult reply() {
  TaskResult task;
  task.task = "reply";
  task.text = TextAnswer{"Thanks \"a lot\"", "stop"};
  task.source = AnswerSource::kModel;
  task.usage.computed_tokens = 20;
  return task;
}
TaskResult failure() {
  TaskResult task;
  task.task = "nonsense";
  task.error = Error{ErrorCode::kNotFound, "no such task"};
  return task;
}

TEST(Row, AnOutputRowHasTheInputAndTheResults) {
  const InputRow row = parse_row(R"({"id": 1, "text": "x", "shop": "west"})", 1, defaults());
  const RowOutcome outcome = render_row(row, result_of({sentiment(), reply()}), {});
  const json out = json::parse(outcome.text);
  EXPECT_EQ(out["id"], 1);
  EXPECT_EQ(out["shop"], "west");
  EXPECT_EQ(out["results"]["sentiment"]["label"], "positive");
  EXPECT_EQ(out["results"]["sentiment"]["display"], "😄 Positive");
  EXPECT_EQ(out["results"]["sentiment"]["probability"], 0.987123);
  EXPECT_EQ(out["results"]["sentiment"]["source"], "exact");
  EXPECT_EQ(out["results"]["sentiment"]["time_ms"]["total"], 1.5);
  EXPECT_EQ(out["results"]["reply"]["text"], "Thanks \"a lot\"");
  EXPECT_EQ(out["results"]["reply"]["finish_reason"], "stop");
  EXPECT_FALSE(out["results"]["reply"].contains("worker"));
  EXPECT_FALSE(outcome.failed);
  EXPECT_FALSE(outcome.cached) << "not all of it";
  EXPECT_EQ(outcome.n_tokens, 23u);
  EXPECT_EQ(outcome.text.find('\n'), std::string::npos);
}

TEST(Row, DetailsAreThereWhenAskedFor) {
  const InputRow row = parse_row(R"({"text": "x"})", 1, defaults());
  const json out = json::parse(render_row(row, result_of({sentiment()}), {.details = true}).text);
  EXPECT_TRUE(out["results"]["sentiment"].contains("model_fingerprint"));
  EXPECT_EQ(out["results"]["sentiment"]["scores"]["positive"], 0.987123);
}

TEST(Row, ARowSaysWhatBecameOfALongText) {
  const InputRow row = parse_row(R"({"text": "x"})", 1, defaults());
  TaskResult cut = sentiment(), split = reply();
  cut.cut = true;
  split.pieces = 12;
  const json out = json::parse(render_row(row, result_of({cut, split}), {}).text);
  EXPECT_EQ(out["results"]["sentiment"]["cut"], true);
  EXPECT_FALSE(out["results"]["sentiment"].contains("pieces"));
  EXPECT_EQ(out["results"]["reply"]["pieces"], 12);
  EXPECT_FALSE(out["results"]["reply"].contains("cut"));
}

TEST(Row, ARowIsCachedWhenEveryAnswerIs) {
  const InputRow row = parse_row(R"({"text": "x"})", 1, defaults());
  EXPECT_TRUE(render_row(row, result_of({sentiment()}), {}).cached);
}

TEST(Row, OneTaskThatFailedLeavesTheOthersTheirResults) {
  const InputRow row = parse_row(R"({"text": "x"})", 1, defaults());
  const RowOutcome outcome = render_row(row, result_of({sentiment(), failure()}), {});
  const json out = json::parse(outcome.text);
  EXPECT_TRUE(outcome.failed);
  EXPECT_EQ(out["results"]["sentiment"]["label"], "positive");
  EXPECT_EQ(out["results"]["nonsense"]["error"]["code"], "not_found");
  EXPECT_FALSE(out.contains("error"));
}

TEST(Row, ARowOfWhichNothingCameHasOneErrorWithItsLine) {
  const InputRow row = parse_row(R"({"text": "x"})", 9, defaults());
  json out = json::parse(render_row(row, result_of({failure()}), {}).text);
  EXPECT_EQ(out["error"]["code"], "not_found");
  EXPECT_EQ(out["error"]["line"], 9);
  EXPECT_FALSE(out.contains("results"));

  const InputRow broken = parse_row("{", 4, defaults());
  const RowOutcome outcome = render_row(broken, fail(broken.request.error()), {});
  EXPECT_TRUE(outcome.failed);
  out = json::parse(outcome.text);
  EXPECT_EQ(out["line"], 4);
  EXPECT_EQ(out["error"]["line"], 4);
}

TEST(Row, AnErrorThatQuotesInvalidUtf8StaysJson) {
  const InputRow row = parse_row(R"({"text": "x"})", 1, defaults());
  const RowOutcome outcome = render_row(row, fail(ErrorCode::kInvalid, "found \xFF"), {});
  EXPECT_TRUE(json::accept(outcome.text));
}

}  // namespace
}  // namespace tandem::cli
