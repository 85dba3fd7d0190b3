#include <cmath>

#include "tests/worker/tasks/support.h"
#include "worker/tasks/prompt.h"

namespace tandem {
namespace {

using namespace tandem::testing;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kSampled =
    std::string(kEcho) + "[decode]\ntemperature = 0.7\ntop_p = 0.9\nstop = [\"\\n\"]\n";

// A job's settings, those set that matter here.
template <typename Set>
DecodeOverrides over(Set&& set) {
  DecodeOverrides overrides;
  set(overrides);
  return overrides;
}

std::string problem(const DecodeOverrides& overrides) {
  const auto settings = decode_settings(parsed(kSampled), overrides, {1, 2});
  if (settings) return "";
  EXPECT_EQ(settings.error().code, ErrorCode::kInvalid);
  return settings.error().text;
}

TEST(DecodeSettings, AreTheTasksUnlessTheJobSaysOtherwise) {
  const Task task = parsed(kSampled);
  const auto plain = decode_settings(task, {}, {1, 2});
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->tokens_max, 128u);
  EXPECT_EQ(plain->sampler.temperature, 0.7);
  EXPECT_EQ(plain->stop, std::vector<std::string>{"\n"});

  const DecodeOverrides overrides = over([](auto& o) {
    o.tokens_max = 5;
    o.temperature = 1.5;
    o.top_k = 3;
    o.top_p = 0.5;
    o.repetition_penalty = 1.25;
    o.no_repeat_ngram = 4;
    o.seed = 9;
    o.stop = {"!"};
  });
  const auto changed = decode_settings(task, overrides, {1, 2});
  ASSERT_TRUE(changed);
  EXPECT_EQ(changed->tokens_max, 5u);
  EXPECT_EQ(changed->sampler.temperature, 1.5);
  EXPECT_EQ(changed->sampler.top_k, 3u);
  EXPECT_EQ(changed->sampler.top_p, 0.5);
  EXPECT_EQ(changed->sampler.repetition_penalty, 1.25);
  EXPECT_EQ(changed->sampler.no_repeat_ngram, 4u);
  EXPECT_EQ(changed->sampler.seed, 9u);
  EXPECT_EQ(changed->stop, std::vector<std::string>{"!"});
}

TEST(DecodeSettings, TakeTheLastGoodValueAndRefuseTheFirstBadOne) {
  EXPECT_EQ(problem(over([](auto& o) { o.temperature = 0; })), "");
  EXPECT_EQ(problem(over([](auto& o) { o.temperature = 2; })), "");
  EXPECT_THAT(problem(over([](auto& o) { o.temperature = 2.01; })),
              HasSubstr("decode.temperature: expected 0 to 2, found 2.01"));
  EXPECT_THAT(problem(over([](auto& o) { o.temperature = -0.1; })), HasSubstr("found -0.1"));
  EXPECT_THAT(problem(over([](auto& o) { o.temperature = std::nan(""); })), HasSubstr("found nan"));
  EXPECT_EQ(problem(over([](auto& o) { o.top_p = 1; })), "");
  EXPECT_THAT(problem(over([](auto& o) { o.top_p = 1.5; })),
              HasSubstr("decode.top_p: expected 0 to 1, found 1.5"));
  EXPECT_EQ(problem(over([](auto& o) { o.tokens_max = 1; })), "");
  EXPECT_EQ(problem(over([](auto& o) { o.tokens_max = 4096; })), "");
  EXPECT_THAT(problem(over([](auto& o) { o.tokens_max = 0; })),
              HasSubstr("decode.tokens_max: expected 1 to 4096, found 0"));
  EXPECT_THAT(problem(over([](auto& o) { o.tokens_max = 4097; })), HasSubstr("found 4097"));
  EXPECT_THAT(problem(over([](auto& o) { o.repetition_penalty = 0; })),
              HasSubstr("decode.repetition_penalty: expected 0.1 to 10"));
  EXPECT_THAT(problem(over([](auto& o) { o.no_repeat_ngram = 65; })),
              HasSubstr("decode.no_repeat_ngram: expected 0 to 64"));
  EXPECT_THAT(problem(over([](auto& o) {
                o.stop = std::vector<std::string>{"a", ""};
              })),
              HasSubstr("found one of 0"));
  EXPECT_THAT(problem(over([](auto& o) { o.stop = std::vector<std::string>(17, "a"); })),
              HasSubstr("expected at most 16 strings, found 17"));
  EXPECT_THAT(problem(over([](auto& o) {
                o.tokens_max = 0;
                o.temperature = 3;
              })),
              AllOf(HasSubstr("tokens_max"), HasSubstr("temperature")));
}

// The same job gives the same answer on any worker, so a draw cannot start from the clock.
TEST(DecodeSettings, TakeASeedFromThePromptWhereTheJobHasNone) {
  const Task task = parsed(kSampled);
  const uint64_t seed = decode_settings(task, {}, {1, 2, 3})->sampler.seed;
  EXPECT_EQ(decode_settings(task, {}, {1, 2, 3})->sampler.seed, seed);
  EXPECT_NE(decode_settings(task, {}, {1, 2, 4})->sampler.seed, seed);
  EXPECT_NE(decode_settings(task, {}, {1, 2})->sampler.seed, seed);
  EXPECT_EQ(decode_settings(task, over([](auto& o) { o.seed = 0; }), {1, 2, 3})->sampler.seed, 0u)
      << "0 is a seed like others";
  const Task fixed = parsed(kSampled + "seed = 5\n");
  EXPECT_EQ(decode_settings(fixed, {}, {1, 2, 3})->sampler.seed, 5u);
}

TEST(DecodeSettings, LeaveOutWhatGreedyDecodingDoesNotUse) {
  const Task task = parsed(kSampled);
  const auto greedy = decode_settings(task, over([](auto& o) { o.temperature = 0; }), {1, 2});
  const auto other = decode_settings(task, over([](auto& o) {
                                       o.temperature = 0;
                                       o.top_k = 7;
                                       o.top_p = 0.1;
                                       o.seed = 3;
                                     }),
                                     {4, 5});
  for (const auto* settings : {&*greedy, &*other}) {
    EXPECT_EQ(settings->sampler.seed, 0u);
    EXPECT_EQ(settings->sampler.top_k, 0u);
    EXPECT_EQ(settings->sampler.top_p, 1);
  }
  EXPECT_EQ(decode_settings(task, over([](auto& o) { o.top_k = 1; }), {1, 2})->sampler.temperature, 0)
      << "one candidate: no draw";
}

TEST(DecodeSettings, OfALabelAreTheTasksAlone) {
  Task task = parsed(kSampled);
  task.answer = AnswerKind::kLabel;
  const auto settings = decode_settings(task, over([](auto& o) {
                                          o.tokens_max = 5;
                                          o.temperature = 99;
                                        }),
                                        {1, 2});
  ASSERT_TRUE(settings) << "overrides are for answers that are text";
  EXPECT_EQ(settings->tokens_max, 128u);
  EXPECT_EQ(settings->sampler.temperature, 0.7);
}

}  // namespace
}  // namespace tandem
