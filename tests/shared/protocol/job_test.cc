#include "shared/protocol/job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "shared/base/limits.h"
#include "shared/protocol/writer.h"
#include "tests/shared/protocol/samples.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

JobRequest request_with(const std::string& text) {
  JobRequest request;
  request.text = text;
  request.tasks = {"sentiment"};
  return request;
}

TEST(Job, PayloadsGoThereAndBack) {
  const auto request = decode_job_request(encode(testing::sample_request()));
  ASSERT_TRUE(request) << request.error().text;
  EXPECT_EQ(*request, testing::sample_request());
  const auto result = decode_job_result(encode(testing::sample_result()));
  ASSERT_TRUE(result) << result.error().text;
  EXPECT_EQ(*result, testing::sample_result());
  const auto part = decode_job_part(encode(testing::sample_part()));
  ASSERT_TRUE(part) << part.error().text;
  EXPECT_EQ(*part, testing::sample_part());
}

TEST(Job, RandomPayloadsGoThereAndBack) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 1000; ++i) {
    const JobRequest request = testing::random_request(random);
    const auto request_back = decode_job_request(encode(request));
    ASSERT_TRUE(request_back) << request_back.error().text;
    ASSERT_EQ(*request_back, request);
    const JobResult result = testing::random_result(random);
    const auto result_back = decode_job_result(encode(result));
    ASSERT_TRUE(result_back) << result_back.error().text;
    ASSERT_EQ(*result_back, result);
  }
}

TEST(Job, PayloadsAreRefusedWhenCutAnywhere) {
  const std::string request = encode(testing::sample_request()), result = encode(testing::sample_result()),
                    part = encode(testing::sample_part());
  for (size_t n = 0; n < request.size(); ++n) ASSERT_FALSE(decode_job_request(request.substr(0, n))) << n;
  for (size_t n = 0; n < result.size(); ++n) ASSERT_FALSE(decode_job_result(result.substr(0, n))) << n;
  for (size_t n = 0; n < part.size(); ++n) ASSERT_FALSE(decode_job_part(part.substr(0, n))) << n;
  EXPECT_FALSE(decode_job_request(request + "x"));
}

TEST(Job, PayloadsSurviveRandomDamage) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 5000; ++i) {
    std::string bytes =
        i % 2 == 0 ? encode(testing::random_request(random)) : encode(testing::random_result(random));
    for (uint64_t n = 1 + random() % 4; n > 0; --n)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    (void)decode_job_request(bytes);
    (void)decode_job_result(bytes);
    (void)decode_job_part(bytes);
  }
}

TEST(Job, RequestsNeedATextAndATask) {
  Writer none;
  none.map(0);
  const auto empty = decode_job_request(none.written());
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().text, "request: expected a text, found none");
  JobRequest request = request_with("hi");
  request.tasks.clear();
  const auto idle = decode_job_request(encode(request));
  ASSERT_FALSE(idle);
  EXPECT_EQ(idle.error().text, "request: expected at least one task, found none");
  // An empty text is the worker's business, which knows the task.
  EXPECT_TRUE(decode_job_request(encode(request_with(""))));
}

TEST(Job, TextsAreUtf8) {
  const auto text = decode_job_request(encode(request_with("caf\xe9")));
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().text, "request.text: expected UTF-8, found the bytes e9 at offset 3");
  JobRequest request = request_with("hi");
  request.history = {{"user", "\xff"}};
  const auto history = decode_job_request(encode(request));
  ASSERT_FALSE(history);
  EXPECT_THAT(history.error().text, HasSubstr("request.history[0]: expected UTF-8"));
}

TEST(Job, TextsEndAtTheLimit) {
  EXPECT_TRUE(decode_job_request(encode(request_with(std::string(limits::kTextBytesMax, 'a')))));
  const auto long_text =
      decode_job_request(encode(request_with(std::string(limits::kTextBytesMax + 1, 'a'))));
  ASSERT_FALSE(long_text);
  EXPECT_EQ(long_text.error().code, ErrorCode::kTooLong);
  EXPECT_EQ(long_text.error().text,
            "request.text: expected a string of at most 4194304 bytes, found 4194305");
  const auto ten_mb = decode_job_request(encode(request_with(std::string(10'000'000, 'a'))));
  ASSERT_FALSE(ten_mb);
  EXPECT_EQ(ten_mb.error().code, ErrorCode::kTooLong);
}

// Each list and string of a request, at its limit and one above.
TEST(Job, RequestsEndAtTheirLimits) {
  struct Case {
    std::string name;
    void (*fill)(JobRequest&, size_t);
    size_t limit;
  };
  const std::vector<Case> cases = {
      {"tasks", [](JobRequest& r, size_t n) { r.tasks.assign(n, "t"); }, limits::kTasksPerJobMax},
      {"tasks[0]", [](JobRequest& r, size_t n) { r.tasks[0].assign(n, 't'); }, limits::kNameBytesMax},
      {"history",
       [](JobRequest& r, size_t n) {
         r.history.assign(n, {"user", "x"});
       },
       limits::kHistoryTurnsMax},
      {"variables",
       [](JobRequest& r, size_t n) {
         r.variables.clear();
         for (size_t i = 0; i < n; ++i) r.variables[std::to_string(i)] = "v";
       },
       limits::kVariablesMax},
      {"variables",
       [](JobRequest& r, size_t n) {
         r.variables = {{std::string(n, 'k'), "v"}};
       },
       limits::kNameBytesMax},
      {"variables.k",
       [](JobRequest& r, size_t n) {
         r.variables = {{"k", std::string(n, 'v')}};
       },
       limits::kVariableBytesMax},
      {"decode.stop", [](JobRequest& r, size_t n) { r.decode.stop.emplace(n, "x"); },
       limits::kStopStringsMax},
      {"decode.stop[0]", [](JobRequest& r, size_t n) { r.decode.stop = {{std::string(n, 's')}}; },
       limits::kStopBytesMax},
      {"namespace", [](JobRequest& r, size_t n) { r.cache_namespace.assign(n, 'n'); }, limits::kNameBytesMax},
  };
  for (const Case& one : cases) {
    JobRequest request = request_with("hi");
    one.fill(request, one.limit);
    EXPECT_TRUE(decode_job_request(encode(request))) << one.name;
    one.fill(request, one.limit + 1);
    const auto over = decode_job_request(encode(request));
    ASSERT_FALSE(over) << one.name;
    EXPECT_EQ(over.error().code, ErrorCode::kTooLong) << over.error().text;
    EXPECT_THAT(over.error().text, ::testing::StartsWith("request." + one.name));
  }
}

TEST(Job, HistoryHasThreeRoles) {
  JobRequest request = request_with("hi");
  request.history = {{"system", "a"}, {"user", "b"}, {"assistant", "c"}};
  EXPECT_TRUE(decode_job_request(encode(request)));
  request.history.push_back({"tool", "d"});
  const auto bad = decode_job_request(encode(request));
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().text,
            "request.history[3]: expected the role system, user or assistant, found 'tool'");
}

// Anybody's msgpack library: a number below zero, a number that is none, a word instead of a number.
TEST(Job, DecodeSettingsAreNumbersInRange) {
  const auto with = [](const std::string& key, const std::string& value_hex) {
    Writer out;
    out.map(3);
    out.text("text");
    out.text("hi");
    out.text("tasks");
    out.array(1);
    out.text("t");
    out.text("decode");
    out.map(1);
    out.text(key);
    out.raw(testing::from_hex(value_hex));
    return decode_job_request(out.written());
  };
  EXPECT_TRUE(with("tokens_max", "05"));
  for (const std::string key : {"tokens_max", "top_k", "no_repeat_ngram", "seed"}) {
    for (const std::string bad : {"ff", "c0", "cb3fe0000000000000", "a161"}) {
      const auto request = with(key, bad);
      ASSERT_FALSE(request) << key << ' ' << bad;
      EXPECT_THAT(request.error().text,
                  ::testing::StartsWith("request.decode." + key + ": expected a whole number"));
    }
  }
  for (const std::string key : {"temperature", "top_p", "repetition_penalty"}) {
    EXPECT_TRUE(with(key, "01")) << "whole numbers are numbers, too";
    EXPECT_TRUE(with(key, "ca3f000000")) << "and so are short floats";
    for (const std::string bad :
         {"ff", "c0", "a161", "cb7ff8000000000000", "cb7ff0000000000000", "cbbfe0000000000000"}) {
      const auto request = with(key, bad);
      ASSERT_FALSE(request) << key << ' ' << bad;
      EXPECT_THAT(request.error().text,
                  ::testing::StartsWith("request.decode." + key + ": expected a number from 0"));
    }
  }
}

TEST(Job, KeysOfANewerProgramArePassedOver) {
  Writer out;
  out.map(3);
  out.text("text");
  out.text("hi");
  out.text("tasks");
  out.array(1);
  out.text("t");
  out.text("mood");
  out.map(1);
  out.number(1);
  out.array(2);
  out.boolean(true);
  out.real(2.5);
  const auto request = decode_job_request(out.written());
  ASSERT_TRUE(request) << request.error().text;
  EXPECT_EQ(request->text, "hi");
}

TEST(Job, AKeyIsThereOnce) {
  Writer out;
  out.map(2);
  out.text("text");
  out.text("hi");
  out.text("text");
  out.text("ho");
  const auto request = decode_job_request(out.written());
  ASSERT_FALSE(request);
  EXPECT_EQ(request.error().text, "request.text: expected this key once, found it twice");
}

TEST(Job, AResultIsALabelOrATextOrAnError) {
  JobResult result = testing::sample_result();
  result.tasks[0].text = TextAnswer{"and a text", "stop"};
  const auto two = decode_job_result(encode(result));
  ASSERT_FALSE(two);
  EXPECT_EQ(two.error().text, "result.tasks[0]: expected one of label, text and error, found 2");
  result.tasks[0].text.reset();
  result.tasks[0].label.reset();
  EXPECT_FALSE(decode_job_result(encode(result)));
}

// Found by the fuzzer: without a task it was read, and could not be passed on.
TEST(Job, AResultNamesItsTask) {
  Writer out;
  out.map(1);
  out.text("tasks");
  out.array(1);
  out.map(1);
  out.text("error");
  out.error({ErrorCode::kInternal, "x"});
  const auto nameless = decode_job_result(out.written());
  ASSERT_FALSE(nameless);
  EXPECT_EQ(nameless.error().text, "result.tasks[0]: expected a task, found none");
}

// Readers of before these keys see the bytes that they know, unless a text was long.
TEST(Job, AResultSaysWhatBecameOfALongText) {
  JobResult result = testing::sample_result();
  const std::string usual = encode(result);
  EXPECT_EQ(usual.find("pieces"), std::string::npos);
  EXPECT_EQ(usual.find("cut"), std::string::npos);
  result.tasks[0].cut = true;
  result.tasks[1].pieces = 12;
  const auto back = decode_job_result(encode(result));
  ASSERT_TRUE(back) << back.error().text;
  EXPECT_EQ(*back, result);
}

TEST(Job, ProbabilitiesAreBetweenZeroAndOne) {
  JobResult result = testing::sample_result();
  result.tasks[0].label->probability = 1.0;
  EXPECT_TRUE(decode_job_result(encode(result)));
  result.tasks[0].label->probability = 1.0000001;
  EXPECT_FALSE(decode_job_result(encode(result)));
}

}  // namespace
}  // namespace tandem
