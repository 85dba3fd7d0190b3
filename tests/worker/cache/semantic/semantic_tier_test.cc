#include "worker/cache/semantic/semantic_tier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "worker/cache/semantic/ngram_embedder.h"
#include "worker/cache/semantic/semantic_store.h"

namespace tandem::semantic {
namespace {

using Kind = SemanticDecision::Kind;
using ::testing::HasSubstr;

class SemanticTierTest : public ::testing::Test {
 protected:
  SemanticTierTest() {
    policy_.calibration.delta = 0.05;
    policy_.calibration.thresholds = {0.9, 0.7, 0.5};
    open();
  }

  void open(uint64_t bytes_max = 64u << 20) {
    tier_.reset();
    auto opened = SemanticTier::open({folder_.path(), bytes_max, 7}, *embedder_);
    ASSERT_TRUE(opened) << opened.error().text;
    tier_ = std::move(*opened);
  }

  SemanticDecision ask(const std::string& text, const SemanticScope& scope, int64_t now_ms = 0) {
    auto decision = tier_->decide(scope, policy_, text, now_ms);
    EXPECT_TRUE(decision) << decision.error().text;
    return *decision;
  }
  SemanticDecision ask(const std::string& text) { return ask(text, scope_); }
  void know(const std::string& text, int64_t expires_ms = 0) {
    ASSERT_TRUE(tier_->add(scope_, policy_, text, hash128(text), expires_ms));
  }
  // Evidence that the tier's donors are right, or wrong.
  void audits(int n, bool wrong) {
    for (int i = 0; i < n; ++i) tier_->learn({audit_scope(), {0.95, 1}}, wrong);
  }
  Hash128 audit_scope() {
    if (!evidence_) evidence_ = ask("how do I open the garden gate").audit->evidence_scope;
    return *evidence_;
  }

  testing::TempDir folder_;
  std::unique_ptr<NgramEmbedder> embedder_ = NgramEmbedder::plain();
  SemanticPolicy policy_;
  SemanticScope scope_{"task", "model", "", {}};
  std::unique_ptr<SemanticTier> tier_;
  std::optional<Hash128> evidence_;
};

TEST_F(SemanticTierTest, ServesAfterEnoughAuditsAndClosesWhenTheyTurn) {
  EXPECT_EQ(ask("how do I open the garden gate").kind, Kind::kNothingNear);
  know("how do I open the garden gate");

  const SemanticDecision first = ask("How do I open the garden gate?");
  EXPECT_EQ(first.kind, Kind::kClosed);
  ASSERT_TRUE(first.audit) << "its model answer is compared for nothing";
  EXPECT_EQ(first.donor->answer_key, hash128("how do I open the garden gate"));

  audits(200, false);
  const SemanticDecision served = ask("How do I open the garden gate?");
  EXPECT_EQ(served.kind, Kind::kServe);
  EXPECT_GT(served.donor->similarity, 0.99);
  EXPECT_THAT(served.rule, HasSubstr("P(wrong) <= 0.05 by 200 audits"));
  EXPECT_TRUE(tier_->bound(scope_, policy_).open);

  audits(20, true);
  EXPECT_EQ(ask("How do I open the garden gate?").kind, Kind::kClosed);
  EXPECT_FALSE(tier_->bound(scope_, policy_).open);
  EXPECT_EQ(tier_->stats().hits, 1u);
  EXPECT_EQ(tier_->stats().audits_wrong, 20u);
}

TEST_F(SemanticTierTest, NeverServesTheOppositeHoweverSureItIs) {
  know("how do I open the garden gate");
  audits(500, false);
  const SemanticDecision decision = ask("how do I not open the garden gate");
  EXPECT_EQ(decision.kind, Kind::kRefused);
  EXPECT_EQ(decision.refusal->gate, Gate::kNegation);
  EXPECT_FALSE(decision.audit);
  EXPECT_EQ(tier_->stats().refused[static_cast<size_t>(Gate::kNegation)], 1u);
}

TEST_F(SemanticTierTest, TakesTheNextDonorWhenTheNearestIsRefused) {
  know("how do I open 2 garden gates");
  know("how do I open garden gates");
  const SemanticDecision decision = ask("how do I open 2 gates in a garden");
  ASSERT_TRUE(decision.donor);
  EXPECT_EQ(decision.donor->text, "how do I open 2 garden gates");
}

// Each of these filed as a complaint about other caches.
TEST_F(SemanticTierTest, AnswersNothingAcrossScopes) {
  know("how do I open the garden gate");
  SemanticScope other = scope_;
  other.cache_namespace = "tenant";
  EXPECT_EQ(ask("how do I open the garden gate", other).kind, Kind::kNothingNear);
  other = scope_;
  other.context = hash128("another conversation");
  EXPECT_EQ(ask("how do I open the garden gate", other).kind, Kind::kNothingNear);
  other = scope_;
  other.task_fingerprint = "another task";
  EXPECT_EQ(ask("how do I open the garden gate", other).kind, Kind::kNothingNear);
  other = scope_;
  other.model_fingerprint = "another model";
  EXPECT_EQ(ask("how do I open the garden gate", other).kind, Kind::kNothingNear);
}

TEST_F(SemanticTierTest, DoesNotAnswerOrKeepContinue) {
  know("continue");
  know("好的");
  ASSERT_TRUE(tier_->flush());
  EXPECT_EQ(tier_->stats().entries, 0u);
  EXPECT_EQ(ask("continue").refusal->gate, Gate::kTooShort);
}

TEST_F(SemanticTierTest, ForgetsWhatExpiredOrWasTakenBack) {
  know("how do I open the garden gate", 1000);
  EXPECT_EQ(ask("how do I open the garden gate", scope_, 999).kind, Kind::kClosed);
  EXPECT_EQ(ask("how do I open the garden gate", scope_, 1000).kind, Kind::kNothingNear);

  know("where is the key of the gate");
  ASSERT_TRUE(tier_->flush());
  ASSERT_TRUE(tier_->forget(ask("where is the key of the gate").donor->id));
  EXPECT_EQ(ask("where is the key of the gate").kind, Kind::kNothingNear);
  open();
  EXPECT_EQ(ask("where is the key of the gate").kind, Kind::kNothingNear);
}

TEST_F(SemanticTierTest, RemembersDonorsAndEvidenceAfterARestart) {
  know("how do I open the garden gate");
  audits(200, false);
  ASSERT_TRUE(tier_->flush());
  EXPECT_EQ(tier_->stats().entries, 1u);
  open();
  EXPECT_EQ(ask("How do I open the garden gate?").kind, Kind::kServe);

  // Other settings, other evidence.
  policy_.calibration.delta = 0.01;
  EXPECT_EQ(ask("How do I open the garden gate?").kind, Kind::kClosed);
}

TEST_F(SemanticTierTest, DropsTheOldestOverItsLimitAndStaysBelowIt) {
  open(40'000);
  for (int i = 0; i < 300; ++i) know("please tell me about garden gate of house " + std::to_string(i));
  ASSERT_TRUE(tier_->flush());
  const SemanticStats stats = tier_->stats();
  EXPECT_LE(stats.bytes, 40'000u);
  EXPECT_GT(stats.entries, 10u);
  EXPECT_EQ(stats.entries + stats.evictions, 300u);
  EXPECT_TRUE(ask("please tell me about garden gate of house 299").donor);
  EXPECT_FALSE(ask("please tell me about garden gate of house 0").donor);
}

TEST_F(SemanticTierTest, RefusesASettingThatCannotBe) {
  policy_.calibration.delta = 0.9;
  const auto decision = tier_->decide(scope_, policy_, "how do I open the garden gate", 0);
  ASSERT_FALSE(decision);
  EXPECT_EQ(decision.error().code, ErrorCode::kInvalid);
}

TEST(SemanticEntry, IsNothingWhenAnyByteIsDamaged) {
  const SemanticEntry entry{5, hash128("s"), hash128("a"), 77, {0.6f, 0.8f}, "text"};
  const std::string good = write_entry(entry);
  EXPECT_EQ(good.size(), 8 + 8 + 32 + 8 + 4 + 8 + 4u);
  const auto read = read_entry(5, good);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->text, "text");
  EXPECT_EQ(read->vector, entry.vector);
  EXPECT_EQ(read->expires_ms, 77);
  EXPECT_FALSE(read_entry(6, good));
  for (size_t byte = 0; byte < good.size(); ++byte) {
    std::string bad = good;
    bad[byte] = static_cast<char>(bad[byte] ^ 4);
    EXPECT_FALSE(read_entry(5, bad)) << byte;
    EXPECT_FALSE(read_entry(5, good.substr(0, byte))) << byte;
  }
}

}  // namespace
}  // namespace tandem::semantic
