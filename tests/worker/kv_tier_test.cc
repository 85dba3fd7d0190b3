// The inference with a tier behind its KV cache: what one process computed, the next one loads, and nothing
// of it shows in an answer.

#include "worker/kv_tier.h"

#include <gmock/gmock.h>

#include <memory>
#include <random>

#include "shared/store/environment.h"
#include "tests/support/temp_dir.h"
#include "tests/worker/scheduler/inference_loop_fixture.h"
#include "worker/scheduler/prefix_spill.h"

namespace tandem {
namespace {

using engine::Tokens;
using testing::GoldenDecode;
using testing::TempDir;

class KvTierTest : public testing::InferenceLoopFixture {
 protected:
  KvTierTest() {
    const engine::KvShape shape = tiny_.model->kv_shape();
    options_.store = {.folder = folder_ / "prefix",
                      .bytes_max = 64u << 20,
                      .identity = kv_identity(tiny_.model->fingerprint(), shape),
                      .block_bytes = shape.block_bytes()};
    restart();
  }

  // Memory is lost. What was to be written has been.
  void restart(bool with_tier = true) {
    loop_.reset();
    tier_.reset();
    if (with_tier) {
      auto opened = KvTier::open(options_);
      TANDEM_ASSERT(opened, "a temporary folder takes a store");
      tier_ = std::move(*opened);
    }
    const SchedulerLimits limits{
        .n_blocks = 256, .sequences_max = 16, .batch_tokens_max = 512, .positions_max = 4096};
    loop_.emplace(
        *tiny_.model, tiny_.tokenizer, tiny_.make_kv(limits.n_blocks), limits, clock_, inbox_,
        [this](FromInference news) {
          if (auto* done = std::get_if<SequenceDone>(&news)) done_.push_back(std::move(*done));
        },
        tier_.get());
    done_.clear();
  }
  void converse(SequenceId id, const Tokens& prompt, uint32_t tokens_max, KeepKv keep = KeepKv::kAll) {
    SequenceRequest request{id, prompt, greedy(tokens_max), clock_.now(), Urgency::kBulk};
    request.keep = keep;
    inbox_.push(std::move(request));
    run_until_idle();
  }

  TempDir folder_;
  KvTierOptions options_;
  std::unique_ptr<KvTier> tier_;
};

TEST_F(KvTierTest, LoadsAfterARestartWhatWasPrimedBefore) {
  Tokens begin = tiny_.find("p7").prompt;  // 300 tokens
  begin.resize(75);
  inbox_.push(PrimePrefix{begin});
  run_until_idle();
  EXPECT_EQ(loop_->counters().primed_tokens, 75u);

  restart();
  inbox_.push(PrimePrefix{begin});
  run_until_idle();
  EXPECT_EQ(loop_->counters().primed_tokens, 0u) << "nothing is computed again";
  EXPECT_EQ(loop_->counters().loaded_tokens, 75u);
  EXPECT_EQ(tier_->figures().loaded, 3u);
  Tokens prompt = begin;
  prompt.insert(prompt.end(), {1, 2, 3, 4, 5});
  decode(1, prompt, greedy(1));
  run_until_idle();
  EXPECT_EQ(done(1).cached_tokens, 75u);
  EXPECT_EQ(done(1).computed_tokens, 5u);
}

// Another worker of the host did not prime it: the prompt itself asks for its beginning.
TEST_F(KvTierTest, LoadsTheBeginningOfAPrompt) {
  Tokens begin = tiny_.find("p7").prompt;
  begin.resize(75);
  inbox_.push(PrimePrefix{begin});
  run_until_idle();
  restart();
  Tokens prompt = begin;
  prompt.insert(prompt.end(), {1, 2, 3, 4, 5});
  decode(1, prompt, greedy(1));
  run_until_idle();
  EXPECT_EQ(done(1).cached_tokens, 75u);
}

// Ten turns, each after a restart: only what was said since is computed, and the answers are those of a
// worker that never knew anything.
TEST_F(KvTierTest, ComputesOnlyTheNewTokensOfAConversationAfterEveryRestart) {
  Tokens text = tiny_.find("p6").prompt;
  std::mt19937 random(7);
  size_t n_known = 0;
  for (SequenceId turn = 1; turn <= 10; ++turn) {
    SCOPED_TRACE("turn " + std::to_string(turn));
    restart(false);
    decode(turn, text, greedy(1));
    run_until_idle();
    const std::string expected = done(turn).text;

    restart();
    converse(turn, text, 1);
    EXPECT_EQ(done(turn).text, expected);
    EXPECT_EQ(done(turn).cached_tokens, n_known);
    EXPECT_EQ(done(turn).computed_tokens, text.size() - n_known);
    n_known = text.size();
    for (size_t n = 1 + random() % 50; n > 0; --n)
      text.push_back(static_cast<engine::TokenId>(random() % 200));
  }
}

TEST_F(KvTierTest, KnowsItsOwnAnswerAfterARestart) {
  const GoldenDecode& golden = tiny_.find("p6");
  converse(1, golden.prompt, 20);
  Tokens longer = golden.prompt;
  longer.insert(longer.end(), golden.tokens.begin(), golden.tokens.begin() + 20);
  restart();
  converse(2, longer, 12);
  EXPECT_EQ(done(2).cached_tokens, golden.prompt.size() + 19);
  EXPECT_EQ(done(2).text, text_of({golden.tokens.begin() + 20, golden.tokens.end()}));
}

TEST_F(KvTierTest, AnswersTheSameWithAndWithout) {
  for (const GoldenDecode& golden : tiny_.decodes) {
    restart();
    converse(1, golden.prompt, 32);
    EXPECT_EQ(done(1).text, text_of(golden.tokens)) << golden.name << ", computed";
    restart();
    converse(2, golden.prompt, 32);
    EXPECT_EQ(done(2).text, text_of(golden.tokens)) << golden.name << ", loaded";
    EXPECT_GE(done(2).cached_tokens, (golden.prompt.size() - 1) / 32 * 32) << golden.name;
  }
}

// Logits in bits, at every place where a text can leave what is stored.
TEST_F(KvTierTest, LoadsWithoutChangingABit) {
  const Tokens& text = tiny_.find("p7").prompt;
  const ScoreWork work{{{}, {11, 12}}, {{1, 2, 3}, {4, 5}}};
  converse(1, text, 1);
  for (size_t n = 1; n <= 300; n += 13) {
    Tokens prompt(text.begin(), text.begin() + static_cast<ptrdiff_t>(n));
    for (int i = 0; i < 5; ++i) prompt.push_back(300 + i);
    restart(false);
    score(1, prompt, work);
    run_until_idle();
    const auto expected = done(1).scores;
    restart();
    score(1, prompt, work);
    run_until_idle();
    EXPECT_EQ(done(1).scores, expected) << n;
    EXPECT_GE(done(1).cached_tokens, n / 32 * 32) << n;
  }
}

// ---- what is worth storing -------------------------------------------------------------------------------

TEST_F(KvTierTest, StoresWhatManyBeginWith) {
  const Tokens& text = tiny_.find("p7").prompt;
  for (SequenceId id = 1; id <= 1 + kReusesWorthStoring; ++id) {
    Tokens prompt(text.begin(), text.begin() + 70);
    for (int i = 0; i < 5; ++i) prompt.push_back(static_cast<engine::TokenId>(200 + 5 * id) + i);
    decode(id, prompt, greedy(1));
    run_until_idle();
  }
  restart();
  EXPECT_EQ(tier_->figures().totals.blocks, 2u) << "the full blocks that are alike";
  decode(1, text, greedy(1));
  run_until_idle();
  EXPECT_EQ(done(1).cached_tokens, 64u);
}

TEST_F(KvTierTest, DoesNotStoreWhatOneJobReadsAFewTimes) {
  const Tokens& text = tiny_.find("p7").prompt;
  for (SequenceId id = 1; id <= 4; ++id) decode(id, text, greedy(2));
  run_until_idle();
  restart();
  EXPECT_EQ(tier_->figures().totals.blocks, 0u);
}

TEST_F(KvTierTest, StoresNothingOfThoseWhoWantNoTrace) {
  const Tokens& text = tiny_.find("p7").prompt;
  for (SequenceId id = 1; id <= 20; ++id) converse(id, text, 1, KeepKv::kNothing);
  restart();
  EXPECT_EQ(tier_->figures().totals.blocks, 0u);
}

TEST_F(KvTierTest, TurnsBlocksAwayWhenTheWriterIsBehindAndAnswersAllTheSame) {
  options_.queue_bytes_max = 1;  // one at a time
  restart();
  const GoldenDecode& golden = tiny_.find("p7");
  converse(1, golden.prompt, 32);
  EXPECT_EQ(done(1).text, text_of(golden.tokens));
  // What is missing is offered again whenever it is found.
  for (SequenceId id = 2; id < 1000 && tier_->figures().totals.blocks < 11; ++id) {
    converse(id, golden.prompt, 32);
  }
  EXPECT_EQ(tier_->figures().totals.blocks, 11u);
}

// ---- damage ----------------------------------------------------------------------------------------------

TEST_F(KvTierTest, AnswersTheSameHoweverItsBlocksAreDamaged) {
  constexpr uint64_t kSeed = 11;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  const GoldenDecode& golden = tiny_.find("p7");
  converse(1, golden.prompt, 32);
  restart(false);
  std::vector<std::pair<std::string, std::string>> good;
  size_t n_damaged = 0, n_loaded = 0;
  for (int round = 0; n_damaged < 1000; ++round) {
    {
      auto environment = Environment::open(options_.store.folder, {.durable = false, .exclusive = false});
      ASSERT_TRUE(environment);
      auto blocks = environment->table("blocks");
      auto transaction = environment->write();
      if (round == 0) {
        ASSERT_TRUE(blocks->for_each(*transaction, "", [&](std::string_view key, std::string_view record) {
          good.emplace_back(key, record);
          return true;
        }));
        ASSERT_EQ(good.size(), 11u);
      }
      for (const auto& [key, sealed] : good) {
        std::string record = sealed;
        if (random() % 4 != 0) {
          const size_t at = random() % record.size();
          if (random() % 8 == 0) {
            record.resize(at);
          } else {
            record[at] ^= static_cast<char>(1u << random() % 8);
          }
          ++n_damaged;
        }
        ASSERT_TRUE(blocks->put(*transaction, key, record));
      }
      ASSERT_TRUE(transaction->commit());
    }
    restart();
    converse(1, golden.prompt, 32);
    ASSERT_EQ(done(1).text, text_of(golden.tokens)) << "round " << round;
    n_loaded += tier_->figures().loaded;
    restart(false);
  }
  EXPECT_GT(n_loaded, 0u) << "those in front of the first damaged one";
}

// What was damaged is stored anew by whoever had to compute it.
TEST_F(KvTierTest, MendsADamagedBlock) {
  const GoldenDecode& golden = tiny_.find("p7");
  converse(1, golden.prompt, 32);
  restart(false);
  {
    auto environment = Environment::open(options_.store.folder, {.durable = false, .exclusive = false});
    ASSERT_TRUE(environment);
    auto blocks = environment->table("blocks");
    auto transaction = environment->write();
    const std::string key = kv_key(options_.store.identity, std::span(golden.prompt).first(64));
    std::string record(blocks->get(*transaction, key)->value());
    record.back() ^= 1;
    ASSERT_TRUE(blocks->put(*transaction, key, record));
    ASSERT_TRUE(transaction->commit());
  }
  restart();
  converse(1, golden.prompt, 32);
  EXPECT_EQ(done(1).cached_tokens, 32u);
  restart();
  converse(2, golden.prompt, 32);
  EXPECT_EQ(done(2).cached_tokens, 288u);
}

}  // namespace
}  // namespace tandem
