#include "worker/cache/semantic/calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace tandem::semantic {
namespace {

CalibrationSettings settings(double delta = 0.05) {
  CalibrationSettings made;
  made.delta = delta;
  made.thresholds = {0.95, 0.9, 0.8, 0.7};
  return made;
}

// `n` audits of candidates at `score`, every `nth` of them wrong (0: none).
void audit(Calibration& calibration, double score, int n, int nth = 0) {
  for (int i = 1; i <= n; ++i) {
    const CalibratedDecision decision = calibration.decide(score, 0);
    ASSERT_TRUE(decision.audit);
    calibration.learn(decision.ticket, nth != 0 && i % nth == 0);
  }
}

TEST(Calibration, StartsClosedAndOpensAsEvidenceComes) {
  Calibration calibration(settings());
  EXPECT_FALSE(calibration.decide(1.0, 0.5).serve);
  EXPECT_TRUE(calibration.decide(1.0, 0.5).audit) << "the model's answer is there anyway";

  audit(calibration, 0.92, 60);
  EXPECT_FALSE(calibration.is_open()) << "60 good ones prove no 5 %";
  audit(calibration, 0.92, 90);
  EXPECT_TRUE(calibration.decide(0.92, 0.5).serve);
  EXPECT_TRUE(calibration.decide(1.0, 0.5).serve);
}

TEST(Calibration, ServesOnlyWhereTheErrorIsSmall) {
  Calibration calibration(settings());
  for (int i = 0; i < 400; ++i) {
    audit(calibration, 0.97, 1);
    audit(calibration, 0.85, 1, i % 2 == 0 ? 1 : 0);  // half of them wrong
  }
  EXPECT_TRUE(calibration.decide(0.96, 0.5).serve);
  EXPECT_FALSE(calibration.decide(0.85, 0.5).serve);
  EXPECT_DOUBLE_EQ(calibration.threshold(), 0.9);
}

TEST(Calibration, ClosesAgainWhenTheEvidenceTurnsAndOpensWhenItComesBack) {
  Calibration calibration(settings());
  audit(calibration, 0.97, 5000);  // a long good time must not delay it
  ASSERT_TRUE(calibration.is_open());
  int n = 0;
  for (; calibration.decide(0.97, 0.5).serve; ++n) calibration.learn({0.97, 1}, true);
  EXPECT_LE(n, 8);
  for (int i = 0; i < 100; ++i) calibration.learn({0.97, 1}, true);
  EXPECT_GT(calibration.regions()[0].restarts(), 0u) << "what is lost is not paid back but begun again";

  audit(calibration, 0.97, 600);
  EXPECT_TRUE(calibration.decide(0.97, 0.5).serve);
}

TEST(Calibration, AuditsTheAskedShareOfHitsAndNothingFar) {
  Calibration calibration(settings());
  EXPECT_FALSE(calibration.decide(0.69, 0).audit);
  audit(calibration, 0.97, 300);
  EXPECT_TRUE(calibration.decide(0.97, 0.049).audit);
  EXPECT_FALSE(calibration.decide(0.97, 0.05).audit);
}

// Candidates below the open threshold are audited twenty times as often as hits: without weights, a region
// that holds both would be judged by its worse part.
TEST(Calibration, WeighsWhatIsAuditedMoreOften) {
  Calibration calibration(settings());
  for (int i = 0; i < 300; ++i) calibration.learn({0.97, 1}, false);
  for (int i = 0; i < 300; ++i) calibration.learn({0.75, 1}, true);
  ASSERT_TRUE(calibration.is_open());
  EXPECT_DOUBLE_EQ(calibration.decide(0.97, 0).ticket.weight, 1.0);
  EXPECT_DOUBLE_EQ(calibration.decide(0.75, 0.5).ticket.weight, 0.05);
}

// The promise itself: as often as not the share of wrong ones is a little above δ, and the gate is looked at
// after every audit. It may open in at most α of the runs.
TEST(Calibration, HardlyEverOpensForABadRegionHoweverOftenOneLooks) {
  const uint64_t seed = 20;
  RecordProperty("seed", static_cast<int>(seed));
  std::mt19937_64 random(seed);
  std::bernoulli_distribution wrong(0.055);
  const int n_runs = 400;
  int n_opened = 0;
  for (int run = 0; run < n_runs; ++run) {
    Calibration calibration(settings(0.05));
    bool opened = false;
    for (int i = 0; i < 1500; ++i) {
      calibration.learn({0.92, 1}, wrong(random));
      opened = opened || calibration.is_open();
    }
    n_opened += opened;
  }
  EXPECT_LE(n_opened, n_runs * 0.05 + 3 * std::sqrt(n_runs * 0.05));
}

TEST(Calibration, ComesBackAsItWasSaved) {
  Calibration calibration(settings());
  audit(calibration, 0.92, 150, 70);
  const std::string bytes = calibration.save();
  EXPECT_EQ(bytes.size(), 8 + 8 + 32 + 4 + 8 + 4 * 64u) << "the size that its description gives";

  Calibration other(settings());
  ASSERT_TRUE(other.restore(bytes));
  EXPECT_EQ(other.save(), bytes);
  EXPECT_EQ(other.is_open(), calibration.is_open());
  EXPECT_EQ(other.n_audits(), 150u);
}

TEST(Calibration, TakesNoDamagedBytesAndNoneOfOtherSettings) {
  Calibration calibration(settings());
  audit(calibration, 0.92, 40);
  const std::string good = calibration.save();
  Calibration other(settings());
  const std::string before = other.save();
  for (size_t byte = 0; byte < good.size(); ++byte) {
    std::string bad = good;
    bad[byte] = static_cast<char>(bad[byte] ^ 1);
    const auto done = other.restore(bad);
    ASSERT_FALSE(done) << "byte " << byte;
    EXPECT_EQ(done.error().code, ErrorCode::kCorrupt);
  }
  for (size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(other.restore(good.substr(0, size)));
  EXPECT_EQ(other.save(), before);

  Calibration stricter(settings(0.02));
  const auto done = stricter.restore(good);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::kInvalid);
}

TEST(Calibration, NamesTheSettingThatCannotBe) {
  const auto error = [](auto&& change) {
    CalibrationSettings bad = settings();
    change(bad);
    const auto done = check(bad);
    return done ? std::string() : done.error().text;
  };
  EXPECT_EQ(error([](CalibrationSettings&) {}), "");
  EXPECT_THAT(error([](CalibrationSettings& s) { s.delta = 0; }), testing::HasSubstr("delta"));
  EXPECT_THAT(error([](CalibrationSettings& s) { s.alpha = NAN; }), testing::HasSubstr("alpha"));
  EXPECT_THAT(error([](CalibrationSettings& s) { s.audit_share = 1.5; }), testing::HasSubstr("audit_share"));
  EXPECT_THAT(error([](CalibrationSettings& s) { s.shadow_share = 0.01; }),
              testing::HasSubstr("shadow_share"));
  EXPECT_THAT(error([](CalibrationSettings& s) { s.thresholds = {}; }), testing::HasSubstr("thresholds"));
  EXPECT_THAT(error([](CalibrationSettings& s) {
                s.thresholds = {0.8, 0.9};
              }),
              testing::HasSubstr("thresholds"));
}

}  // namespace
}  // namespace tandem::semantic
