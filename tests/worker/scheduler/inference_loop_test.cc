#include "worker/scheduler/inference_loop.h"

#include <gmock/gmock.h>

#include <thread>

#include "tests/worker/scheduler/inference_loop_fixture.h"

namespace tandem {
namespace {

using testing::GoldenDecode;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using InferenceLoopTest = testing::InferenceLoopFixture;

TEST_F(InferenceLoopTest, SaysWhatTheOfficialImplementationSays) {
  for (const GoldenDecode& golden : tiny_.decodes) {
    SCOPED_TRACE(golden.name);
    done_.clear();
    decode(1, golden.prompt, greedy(32));
    run_until_idle();
    EXPECT_EQ(done(1).text, text_of(golden.tokens));
    EXPECT_EQ(done(1).finish_reason, "length");
    EXPECT_EQ(done(1).completion_tokens, 32u);
    EXPECT_EQ(done(1).prompt_tokens, golden.prompt.size());
    EXPECT_EQ(done(1).computed_tokens, golden.prompt.size() + 31);  // the last one is drawn, not computed
    EXPECT_EQ(done(1).batch_size, 1u);
  }
}

TEST_F(InferenceLoopTest, SaysTheSameWhenEightRunTogether) {
  for (size_t i = 0; i < tiny_.decodes.size(); ++i) decode(i, tiny_.decodes[i].prompt, greedy(32));
  run_until_idle();
  ASSERT_EQ(done_.size(), 8u);
  for (size_t i = 0; i < tiny_.decodes.size(); ++i) {
    EXPECT_EQ(done(i).text, text_of(tiny_.decodes[i].tokens)) << tiny_.decodes[i].name;
  }
}

// Prompts in pieces of a few tokens, between decodes of others, sequences waiting in line for blocks.
TEST_F(InferenceLoopTest, SaysTheSameWhenPromptsAreComputedInPieces) {
  make({.n_blocks = 16, .sequences_max = 3, .batch_tokens_max = 7, .positions_max = 4096});
  for (size_t i = 0; i < tiny_.decodes.size(); ++i) decode(i, tiny_.decodes[i].prompt, greedy(32));
  run_until_idle();
  for (size_t i = 0; i < tiny_.decodes.size(); ++i) {
    EXPECT_EQ(done(i).text, text_of(tiny_.decodes[i].tokens)) << tiny_.decodes[i].name;
  }
}

TEST_F(InferenceLoopTest, StreamsThePiecesOfTheText) {
  DecodeWork work = greedy(32);
  work.stream = true;
  decode(1, tiny_.find("p5").prompt, work);
  decode(2, tiny_.find("p6").prompt, greedy(32));
  run_until_idle();
  std::string streamed;
  for (const SequenceDelta& delta : deltas_) {
    EXPECT_EQ(delta.id, 1u) << "only who asked gets pieces";
    EXPECT_THAT(delta.text, ::testing::Not(IsEmpty()));
    streamed += delta.text;
  }
  EXPECT_GT(deltas_.size(), 4u);
  EXPECT_EQ(streamed, done(1).text);
}

TEST_F(InferenceLoopTest, EndsAtAStopStringAndCutsItOff) {
  const GoldenDecode& golden = tiny_.find("p5");
  const std::string whole = text_of(golden.tokens);
  const std::string stop = text_of({golden.tokens[9], golden.tokens[10]});
  ASSERT_NE(whole.find(stop), std::string::npos);
  DecodeWork work = greedy(32);
  work.stop = {stop};
  decode(1, golden.prompt, work);
  run_until_idle();
  EXPECT_EQ(done(1).finish_reason, "stop");
  EXPECT_EQ(done(1).text, whole.substr(0, whole.find(stop)));
  EXPECT_LE(done(1).completion_tokens, 11u);
}

TEST_F(InferenceLoopTest, EndsAtTheTokenLimit) {
  const GoldenDecode& golden = tiny_.find("p6");
  decode(1, golden.prompt, greedy(1));
  decode(2, golden.prompt, greedy(5));
  run_until_idle();
  EXPECT_EQ(done(1).text, text_of({golden.tokens.begin(), golden.tokens.begin() + 1}));
  EXPECT_EQ(done(2).text, text_of({golden.tokens.begin(), golden.tokens.begin() + 5}));
  EXPECT_EQ(done(2).finish_reason, "length");
}

// Left alone, a greedy decode of random weights falls into a loop sooner or later.
TEST_F(InferenceLoopTest, EndsADecodeThatLoops) {
  decode(1, tiny_.find("p3").prompt, greedy(2000));
  run_until_idle();
  EXPECT_EQ(done(1).finish_reason, "repetition");
  EXPECT_LT(done(1).completion_tokens, 2000u);
}

TEST_F(InferenceLoopTest, StopsACancelledOneBetweenSteps) {
  const GoldenDecode& golden = tiny_.find("p6");
  decode(1, golden.prompt, greedy(32));
  decode(2, golden.prompt, greedy(32));
  ASSERT_TRUE(loop_->step());
  ASSERT_TRUE(loop_->step());
  inbox_.push(CancelSequence{1});
  inbox_.push(CancelSequence{77});  // unknown, or finished just before: nothing happens
  run_until_idle();
  ASSERT_EQ(done_.size(), 2u);
  EXPECT_EQ(done(1).finish_reason, "cancelled");
  EXPECT_EQ(done(1).completion_tokens, 2u);
  EXPECT_EQ(done(2).text, text_of(golden.tokens));
}

TEST_F(InferenceLoopTest, RefusesWhatCanNeverFitAndGoesOnWithTheOthers) {
  make({.n_blocks = 4, .sequences_max = 4, .batch_tokens_max = 64, .positions_max = 4096});
  decode(1, tiny_.find("p7").prompt, greedy(4));
  decode(2, tiny_.find("p4").prompt, greedy(4));
  run_until_idle();
  EXPECT_EQ(done(1).error.code, ErrorCode::kTooLong);
  EXPECT_THAT(done(1).error.text, HasSubstr("300 tokens"));
  EXPECT_EQ(done(2).error.text, "");
  EXPECT_EQ(done(2).completion_tokens, 4u);
}

TEST_F(InferenceLoopTest, RefusesTokensTheModelDoesNotHave) {
  decode(1, {5, 99'999}, greedy(4));
  decode(2, {-1}, greedy(4));
  decode(3, {}, greedy(4));
  run_until_idle();
  for (const SequenceId id : {1, 2, 3}) EXPECT_EQ(done(id).error.code, ErrorCode::kInvalid) << id;
}

// The logits behind a path are those behind the prompt with the path at its end.
TEST_F(InferenceLoopTest, ScoresPathsAsIfTheyWereThePromptsEnd) {
  for (const std::string name : {"p3", "p4", "p5"}) {  // 62, 33 and 64 tokens: around a block's border
    SCOPED_TRACE(name);
    done_.clear();
    const engine::Tokens& prompt = tiny_.find(name).prompt;
    ScoreWork both;
    both.paths = {{}, {11, 12}, {13}};
    both.wanted = {{1, 2, 3}, {4, 5}, {6}};
    score(1, prompt, both);
    for (size_t path = 0; path < 3; ++path) {
      engine::Tokens longer = prompt;
      longer.insert(longer.end(), both.paths[path].begin(), both.paths[path].end());
      score(2 + path, longer, ScoreWork{{{}}, {both.wanted[path]}});
    }
    decode(9, tiny_.find("p6").prompt, greedy(8));
    run_until_idle();
    ASSERT_EQ(done(1).scores.size(), 3u);
    for (size_t path = 0; path < 3; ++path) {
      ASSERT_EQ(done(1).scores[path].size(), both.wanted[path].size());
      for (size_t i = 0; i < both.wanted[path].size(); ++i) {
        EXPECT_EQ(done(1).scores[path][i], done(2 + path).scores[0][i]) << "to the bit";
      }
    }
    EXPECT_EQ(done(1).completion_tokens, 0u);
    EXPECT_EQ(done(1).computed_tokens, prompt.size() + 3);
  }
}

TEST_F(InferenceLoopTest, FinishesAScoringBeforeADecodeThatCameEarlier) {
  decode(1, tiny_.find("p4").prompt, greedy(8));
  score(2, tiny_.find("p5").prompt, ScoreWork{{{}, {7}}, {{1}, {2}}});
  run_until_idle();
  ASSERT_EQ(done_.size(), 2u);
  EXPECT_EQ(done_[0].id, 2u);
  EXPECT_EQ(done_[0].batch_size, 2u);
}

TEST_F(InferenceLoopTest, TellsHowLongASequenceWaitedAndRan) {
  make({.n_blocks = 64, .sequences_max = 1, .batch_tokens_max = 64, .positions_max = 4096});
  decode(1, tiny_.find("p4").prompt, greedy(3));
  decode(2, tiny_.find("p4").prompt, greedy(1));
  run_until_idle();
  EXPECT_EQ(done(1).queued, Duration::zero());
  EXPECT_EQ(done(1).prefill, Duration::zero());  // time is given: it passes between steps
  EXPECT_EQ(done(1).decode, std::chrono::milliseconds(2));
  EXPECT_EQ(done(2).queued, std::chrono::milliseconds(3));
}

TEST_F(InferenceLoopTest, GivesAllBlocksBack) {
  const SchedulerLimits limits{
      .n_blocks = 32, .sequences_max = 4, .batch_tokens_max = 64, .positions_max = 4096};
  make(limits);
  // More than fits at once, many times over: a leaked block would stop it.
  for (SequenceId id = 1; id <= 60; ++id) {
    if (id % 2 == 0) decode(id, tiny_.find("p6").prompt, greedy(3));
    if (id % 2 == 1) score(id, tiny_.find("p5").prompt, ScoreWork{{{}, {7}, {8, 9}}, {{1}, {2}, {3}}});
  }
  loop_->step();
  for (SequenceId id = 1; id <= 60; id += 5) inbox_.push(CancelSequence{id});
  run_until_idle();
  EXPECT_EQ(done_.size(), 60u);
}

TEST_F(InferenceLoopTest, TakesAnInteractiveOneFirst) {
  make({.n_blocks = 64, .sequences_max = 1, .batch_tokens_max = 64, .positions_max = 4096});
  decode(1, tiny_.find("p4").prompt, greedy(2));
  decode(2, tiny_.find("p5").prompt, greedy(2));
  inbox_.push(SequenceRequest{3, tiny_.find("p6").prompt, greedy(2), clock_.now(), Urgency::kInteractive});
  run_until_idle();
  ASSERT_EQ(done_.size(), 3u);
  EXPECT_EQ(done_.front().id, 3u);
}

// Prompts that repeat, alone and side by side, in small steps, with others that do not guess: the same
// tokens, in fewer steps.
TEST_F(InferenceLoopTest, GuessingChangesNoAnswer) {
  for (const SchedulerLimits limits :
       {SchedulerLimits{.n_blocks = 256, .sequences_max = 1, .batch_tokens_max = 64, .positions_max = 4096},
        SchedulerLimits{.n_blocks = 64, .sequences_max = 3, .batch_tokens_max = 7, .positions_max = 4096},
        SchedulerLimits{
            .n_blocks = 256, .sequences_max = 16, .batch_tokens_max = 512, .positions_max = 4096}}) {
    std::vector<std::vector<std::string>> texts(2);
    std::vector<uint32_t> n_computed(2), n_drawn(2);
    for (const bool speculate : {false, true}) {
      make(limits);
      done_.clear();
      deltas_.clear();
      for (SequenceId id = 0; id < 12; ++id) {
        const engine::Tokens& once = tiny_.decodes[id % 8].prompt;
        engine::Tokens prompt = once;
        if (once.size() < 100) prompt.insert(prompt.end(), once.begin(), once.end());
        DecodeWork work = greedy(static_cast<uint32_t>(20 + 9 * id));
        work.sampler.temperature = id % 2 == 0 ? 0 : 0.8;
        work.sampler.seed = id;
        work.stream = id == 3;
        work.speculate = speculate && id % 3 != 2;
        decode(id, prompt, work);
      }
      run_until_idle();
      std::string streamed;
      for (const SequenceDelta& delta : deltas_) streamed += delta.text;
      EXPECT_EQ(streamed, done(3).text);
      for (SequenceId id = 0; id < 12; ++id) {
        texts[speculate].push_back(done(id).text + "/" + done(id).finish_reason);
        n_computed[speculate] += done(id).computed_tokens;
        n_drawn[speculate] += done(id).completion_tokens;
      }
    }
    EXPECT_EQ(texts[0], texts[1]);
    EXPECT_EQ(n_drawn[0], n_drawn[1]);
    EXPECT_GT(n_computed[1], n_computed[0]) << "wrong guesses were made, and forgotten";
  }
}

// Left alone, this one falls into a loop: nearly every guess is right.
TEST_F(InferenceLoopTest, GuessingTakesFewerSteps) {
  std::vector<size_t> n_steps;
  for (const bool speculate : {false, true}) {
    DecodeWork work = greedy(400);
    work.speculate = speculate;
    decode(n_steps.size(), tiny_.find("p3").prompt, work);
    n_steps.push_back(0);
    while (loop_->step()) ++n_steps.back();
  }
  EXPECT_EQ(done(0).text, done(1).text);
  EXPECT_LT(n_steps[1] * 4, n_steps[0] * 3);
}

// Whoever gives work away must know what was begun of it.
TEST_F(InferenceLoopTest, TellsOnceWhenItBeginsASequence) {
  make({.n_blocks = 256, .sequences_max = 1, .batch_tokens_max = 8, .positions_max = 4096});
  inbox_.push(PrimePrefix{tiny_.find("p4").prompt});
  decode(1, tiny_.find("p4").prompt, greedy(4));
  decode(2, tiny_.find("p4").prompt, greedy(4));
  decode(3, tiny_.find("p4").prompt, greedy(4));
  while (began_.empty()) ASSERT_TRUE(loop_->step());
  EXPECT_THAT(began_, ::testing::ElementsAre(1)) << "the others wait for its place";
  inbox_.push(CancelSequence{2});
  run_until_idle();
  EXPECT_THAT(began_, ::testing::ElementsAre(1, 3)) << "what was called off in line was never begun";
  EXPECT_EQ(done(2).finish_reason, "cancelled");
  EXPECT_EQ(done(2).computed_tokens, 0u);
}

// The loop on its own thread, as in a worker.
TEST_F(InferenceLoopTest, RunsUntilItsInboxIsClosed) {
  Inbox<FromInference> answers;
  const SystemClock clock;
  Inbox<ToInference> inbox;
  InferenceLoop loop(*tiny_.model, tiny_.tokenizer, tiny_.make_kv(64),
                     {.n_blocks = 64, .sequences_max = 4, .batch_tokens_max = 64, .positions_max = 4096},
                     clock, inbox, [&](FromInference news) { answers.push(std::move(news)); });
  loop.warm_up();
  std::thread thread([&] { loop.run(); });
  inbox.push(SequenceRequest{1, tiny_.find("p4").prompt, greedy(32), clock.now()});
  std::vector<FromInference> heard;
  while (heard.size() < 2) {
    for (FromInference& news : answers.wait()) heard.push_back(std::move(news));
  }
  ASSERT_EQ(heard.size(), 2u);
  EXPECT_EQ(std::get<SequencesBegan>(heard[0]).ids, std::vector<SequenceId>{1});
  EXPECT_EQ(std::get<SequenceDone>(heard[1]).text, text_of(tiny_.find("p4").tokens));
  inbox.close();
  thread.join();
}

}  // namespace
}  // namespace tandem
