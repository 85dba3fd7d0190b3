#include "worker/scheduler/scheduler.h"

#include <gmock/gmock.h>

#include <map>
#include <random>
#include <set>

#include "worker/engine/kv/kv_cache.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SchedulerTest : public ::testing::Test {
 protected:
  void make(SchedulerLimits limits) { scheduler_.emplace(limits); }

  Result<void> decode(SequenceId id, size_t n_prompt, size_t decode_max) {
    return scheduler_->add({.id = id, .n_prompt = n_prompt, .decode_max = decode_max, .paths = {}});
  }
  Result<void> score(SequenceId id, size_t n_prompt, std::vector<size_t> paths = {}) {
    return scheduler_->add({.id = id, .n_prompt = n_prompt, .decode_max = 0, .paths = std::move(paths)});
  }

  // "1: prompt 0+100", "2: decode", "3: path 0 0+2 last"
  std::vector<std::string> step() {
    std::vector<std::string> said;
    for (const Piece& piece : scheduler_->next_step()) {
      std::string text = std::to_string(piece.id) + ": ";
      if (piece.kind == Piece::Kind::kDecode) {
        said.push_back(text + "decode");
        continue;
      }
      text += piece.kind == Piece::Kind::kPath ? "path " + std::to_string(piece.path) + " " : "prompt ";
      text += std::to_string(piece.begin) + "+" + std::to_string(piece.n_tokens);
      said.push_back(text + (piece.last ? " last" : ""));
    }
    return said;
  }

  std::optional<Scheduler> scheduler_ =
      Scheduler({.n_blocks = 64, .sequences_max = 8, .batch_tokens_max = 100, .positions_max = 2000});
};

TEST_F(SchedulerTest, HasNothingToDoWhenNobodyAsked) {
  EXPECT_THAT(step(), IsEmpty());
}

TEST_F(SchedulerTest, RunsAPromptAndThenOneTokenAStep) {
  ASSERT_TRUE(decode(1, 10, 5));
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+10 last"));
  EXPECT_THAT(step(), ElementsAre("1: decode"));
  EXPECT_THAT(step(), ElementsAre("1: decode"));
  EXPECT_TRUE(scheduler_->remove(1));
  EXPECT_THAT(step(), IsEmpty());
}

TEST_F(SchedulerTest, PutsPromptsOfManyIntoOneStep) {
  ASSERT_TRUE(score(1, 10));
  ASSERT_TRUE(decode(2, 20, 5));
  ASSERT_TRUE(score(3, 30));
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+10 last", "2: prompt 0+20 last", "3: prompt 0+30 last"));
}

// Chunked prefill: whoever is being answered gets a token in every step, however long the newcomer's prompt.
TEST_F(SchedulerTest, NeverLetsADecodeWaitBehindALongPrompt) {
  ASSERT_TRUE(decode(1, 10, 50));
  step();
  ASSERT_TRUE(decode(2, 250, 5));
  EXPECT_THAT(step(), ElementsAre("1: decode", "2: prompt 0+99"));
  EXPECT_THAT(step(), ElementsAre("1: decode", "2: prompt 99+99"));
  EXPECT_THAT(step(), ElementsAre("1: decode", "2: prompt 198+52 last"));
  EXPECT_THAT(step(), ElementsAre("1: decode", "2: decode"));
}

TEST_F(SchedulerTest, RunsThePathsOfAScoringInTheStepAfterItsPrompt) {
  ASSERT_TRUE(score(1, 10, {2, 3}));
  ASSERT_TRUE(decode(2, 10, 5));
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+10 last", "2: prompt 0+10 last"));
  ASSERT_TRUE(decode(3, 200, 5));
  EXPECT_THAT(step(), ElementsAre("2: decode", "1: path 0 0+2 last", "1: path 1 0+3 last", "3: prompt 0+94"));
}

TEST_F(SchedulerTest, CutsAPathThatDoesNotFitIntoAStep) {
  make({.n_blocks = 64, .sequences_max = 1, .batch_tokens_max = 4, .positions_max = 2000});
  ASSERT_TRUE(score(1, 2, {3, 3}));
  step();
  EXPECT_THAT(step(), ElementsAre("1: path 0 0+3 last", "1: path 1 0+1"));
  EXPECT_THAT(step(), ElementsAre("1: path 1 1+2 last"));
}

TEST_F(SchedulerTest, HoldsBackWhatDoesNotFitUntilSomebodyLeaves) {
  make({.n_blocks = 4, .sequences_max = 8, .batch_tokens_max = 100, .positions_max = 2000});
  ASSERT_TRUE(decode(1, 64, 32));  // three blocks of 32
  ASSERT_TRUE(decode(2, 33, 5));   // two
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+64 last"));
  EXPECT_EQ(scheduler_->n_waiting(), 1u);
  EXPECT_THAT(step(), ElementsAre("1: decode"));
  scheduler_->remove(1);
  EXPECT_THAT(step(), ElementsAre("2: prompt 0+33 last"));
  EXPECT_EQ(scheduler_->n_blocks_reserved(), 2u);
}

// A large one at the head would wait for ever if small ones could pass it whenever a block is free.
TEST_F(SchedulerTest, DoesNotLetASmallOnePassALargeOne) {
  make({.n_blocks = 4, .sequences_max = 8, .batch_tokens_max = 100, .positions_max = 2000});
  ASSERT_TRUE(decode(1, 32, 32));
  ASSERT_TRUE(decode(2, 90, 30));  // all four
  ASSERT_TRUE(score(3, 5));
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+32 last"));
  EXPECT_THAT(step(), ElementsAre("1: decode"));
  scheduler_->remove(1);
  EXPECT_THAT(step(), ElementsAre("2: prompt 0+90 last"));
  scheduler_->remove(2);
  EXPECT_THAT(step(), ElementsAre("3: prompt 0+5 last"));
}

TEST_F(SchedulerTest, RunsNoMoreSideBySideThanAllowed) {
  make({.n_blocks = 64, .sequences_max = 2, .batch_tokens_max = 100, .positions_max = 2000});
  for (SequenceId id = 1; id <= 3; ++id) ASSERT_TRUE(decode(id, 4, 4));
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+4 last", "2: prompt 0+4 last"));
  scheduler_->remove(2);
  EXPECT_THAT(step(), ElementsAre("1: decode", "3: prompt 0+4 last"));
}

TEST_F(SchedulerTest, RefusesOnlyTheOneThatCouldNeverRun) {
  make({.n_blocks = 4, .sequences_max = 8, .batch_tokens_max = 100, .positions_max = 2000});
  EXPECT_TRUE(decode(1, 118, 10));  // 128 tokens are exactly four blocks
  const Result<void> large = decode(2, 119, 10);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ErrorCode::kTooLong);
  EXPECT_THAT(large.error().text, HasSubstr("4 KV blocks of 32 tokens"));
  EXPECT_THAT(large.error().text, HasSubstr("119 tokens"));
  EXPECT_TRUE(score(3, 5));
}

TEST_F(SchedulerTest, RefusesWhatIsLongerThanTheModelsPositions) {
  make({.n_blocks = 64, .sequences_max = 8, .batch_tokens_max = 100, .positions_max = 50});
  EXPECT_TRUE(decode(1, 40, 10));
  const Result<void> large = decode(2, 40, 11);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ErrorCode::kTooLong);
  EXPECT_THAT(large.error().text, HasSubstr("at most 50 positions"));
}

TEST_F(SchedulerTest, RefusesAnEmptyPrompt) {
  const Result<void> empty = decode(1, 0, 10);
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().code, ErrorCode::kInvalid);
}

TEST_F(SchedulerTest, ForgetsACancelledOneWhereverItIs) {
  make({.n_blocks = 64, .sequences_max = 1, .batch_tokens_max = 100, .positions_max = 2000});
  ASSERT_TRUE(decode(1, 150, 4));
  ASSERT_TRUE(decode(2, 4, 4));
  ASSERT_TRUE(decode(3, 4, 4));
  step();
  EXPECT_TRUE(scheduler_->remove(2));  // still waiting
  EXPECT_TRUE(scheduler_->remove(1));  // in the middle of its prompt
  EXPECT_FALSE(scheduler_->remove(1));
  EXPECT_THAT(step(), ElementsAre("3: prompt 0+4 last"));
}

TEST(BlocksNeeded, CountsForksWithoutThePromptsFullBlocks) {
  EXPECT_EQ(blocks_needed({.id = 1, .n_prompt = 32, .decode_max = 0, .paths = {}}), 1u);
  EXPECT_EQ(blocks_needed({.id = 1, .n_prompt = 32, .decode_max = 1, .paths = {}}), 2u);
  // 40 tokens: one full block and a begun one, which each fork copies.
  EXPECT_EQ(blocks_needed({.id = 1, .n_prompt = 40, .decode_max = 0, .paths = {2, 2}}), 4u);
  // 62 tokens: a path of three goes on into a further block.
  EXPECT_EQ(blocks_needed({.id = 1, .n_prompt = 62, .decode_max = 0, .paths = {3}}), 4u);
}

// Whatever arrives and ends in whatever order: no step is over its budget, no block is promised twice, every
// decode moves in every step, admission is in order, and everything that was taken ends.
TEST(SchedulerProperty, KeepsItsPromisesUnderRandomLoad) {
  const uint32_t seed_first = 20240601;
  for (uint32_t seed = seed_first; seed < seed_first + 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto draw = [&](size_t low, size_t high) { return low + random() % (high - low + 1); };

    SchedulerLimits limits;
    limits.n_blocks = draw(4, 80);
    limits.batch_tokens_max = draw(1, 200);
    limits.sequences_max = draw(1, std::min<size_t>(limits.batch_tokens_max, 20));
    limits.positions_max = draw(50, 3000);
    Scheduler scheduler(limits);

    struct Seen {
      SequenceNeed need;
      size_t n_prompt = 0, n_drawn = 0, n_end = 0;
      std::vector<size_t> paths;
      bool begun = false;
    };
    std::map<SequenceId, Seen> open;
    SequenceId id_next = 1, id_begun_last = 0;
    size_t n_steps_left = 20'000;

    while (id_next <= 60 || !open.empty()) {
      ASSERT_GT(n_steps_left--, 0u) << "something never ends";
      for (size_t n = id_next <= 60 ? draw(0, 3) : 0; n > 0; --n) {
        Seen seen;
        seen.need.id = id_next++;
        seen.need.n_prompt = draw(1, draw(0, 9) == 0 ? 3000 : 150);
        if (draw(0, 1) == 0) {
          seen.need.decode_max = draw(1, 40);
          seen.n_end = draw(1, seen.need.decode_max);  // the end token may come early
        } else {
          for (size_t path = draw(0, 3); path > 0; --path) seen.need.paths.push_back(draw(1, 4));
          seen.paths.resize(seen.need.paths.size());
        }
        const bool fits = blocks_needed(seen.need) <= limits.n_blocks;
        const bool taken = scheduler.add(seen.need).has_value();
        EXPECT_TRUE(fits || !taken) << "more than all blocks";
        if (taken) open[seen.need.id] = seen;
      }
      if (!open.empty() && draw(0, 19) == 0) {  // a cancel
        const auto victim = std::next(open.begin(), draw(0, open.size() - 1));
        EXPECT_TRUE(scheduler.remove(victim->first));
        open.erase(victim);
      }

      const std::vector<Piece> step = scheduler.next_step();
      ASSERT_EQ(open.empty(), step.empty()) << "there is work and nothing is done";
      EXPECT_LE(scheduler.n_blocks_reserved(), limits.n_blocks);
      EXPECT_LE(scheduler.n_running(), limits.sequences_max);

      size_t n_tokens = 0, n_blocks = 0;
      std::set<SequenceId> decoded, must_decode;
      for (const auto& [id, seen] : open) {
        if (seen.need.decode_max > 0 && seen.n_drawn > 0) must_decode.insert(id);
      }
      int kind_last = 0;
      for (const Piece& piece : step) {
        n_tokens += piece.n_tokens;
        EXPECT_GE(static_cast<int>(piece.kind), kind_last) << "decodes, then paths, then prompts";
        kind_last = static_cast<int>(piece.kind);
        ASSERT_TRUE(open.count(piece.id)) << "a sequence that is over";
        Seen& seen = open[piece.id];
        if (!seen.begun) {
          EXPECT_GT(piece.id, id_begun_last) << "somebody was passed";
          id_begun_last = piece.id;
          seen.begun = true;
        }
        switch (piece.kind) {
          case Piece::Kind::kDecode:
            EXPECT_TRUE(decoded.insert(piece.id).second);
            EXPECT_EQ(seen.n_prompt, seen.need.n_prompt);
            ++seen.n_drawn;
            break;
          case Piece::Kind::kPath:
            EXPECT_EQ(seen.n_prompt, seen.need.n_prompt);
            EXPECT_EQ(piece.begin, seen.paths[piece.path]);
            seen.paths[piece.path] += piece.n_tokens;
            EXPECT_EQ(piece.last, seen.paths[piece.path] == seen.need.paths[piece.path]);
            break;
          case Piece::Kind::kPrompt:
            EXPECT_EQ(piece.begin, seen.n_prompt);
            seen.n_prompt += piece.n_tokens;
            EXPECT_EQ(piece.last, seen.n_prompt == seen.need.n_prompt);
            if (piece.last && seen.need.decode_max > 0) seen.n_drawn = 1;
            break;
        }
      }
      EXPECT_LE(n_tokens, limits.batch_tokens_max);
      EXPECT_EQ(decoded, must_decode);

      for (auto it = open.begin(); it != open.end();) {
        Seen& seen = it->second;
        if (seen.begun) n_blocks += blocks_needed(seen.need);
        const bool over = seen.need.decode_max > 0
                              ? seen.n_drawn >= seen.n_end && seen.n_drawn > 0
                              : seen.n_prompt == seen.need.n_prompt && seen.paths == seen.need.paths;
        if (!over) {
          ++it;
          continue;
        }
        EXPECT_TRUE(scheduler.remove(it->first));
        it = open.erase(it);
      }
      EXPECT_LE(n_blocks, limits.n_blocks);
    }
    EXPECT_EQ(scheduler.n_blocks_reserved(), 0u);
  }
}

}  // namespace
}  // namespace tandem
