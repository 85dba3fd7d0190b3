#include "worker/cache/semantic/error_evidence.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "shared/base/assert.h"

namespace tandem::semantic {
namespace {

// λ as shares of the largest, 1 / (1 - δ), and how the first 1 is laid out. A large share wins fast where
// nothing is wrong, a small one where P(wrong) is little below δ.
constexpr std::array<double, ErrorEvidence::kBets> kBetShares = {0.92, 0.65, 0.4, 0.2};
constexpr std::array<double, ErrorEvidence::kBets> kFirstWealth = {0.4, 0.3, 0.2, 0.1};
constexpr double kCap = 8;           // times what is needed: some five wrong answers in a row close it
constexpr double kLostBelow = 0.02;  // it would take long to come back from there; a new start is cheaper

}  // namespace

ErrorEvidence::ErrorEvidence(double delta, double alpha) : delta_(delta), alpha_(alpha) {
  TANDEM_ASSERT(delta > 0 && delta < 1 && alpha > 0 && alpha < 1, "settings were checked before");
  start();
}

void ErrorEvidence::start() {
  wealth_ = kFirstWealth;
}

void ErrorEvidence::add(bool wrong, double weight) {
  TANDEM_ASSERT(weight > 0 && weight <= 1, "weights are ratios of audit shares");
  audited_ += weight;
  wrong_ += wrong ? weight : 0;
  for (size_t i = 0; i < kBets; ++i) {
    const double bet = kBetShares[i] / (1 - delta_);
    wealth_[i] *= 1 + bet * weight * (delta_ - (wrong ? 1.0 : 0.0));
    wealth_[i] = std::min(wealth_[i], kCap * needed() * kFirstWealth[i]);
  }
  if (wealth() >= kLostBelow) return;
  ++restarts_;
  start();
}

double ErrorEvidence::wealth() const {
  return std::accumulate(wealth_.begin(), wealth_.end(), 0.0);
}

double ErrorEvidence::needed() const {
  const auto r = static_cast<double>(restarts_);
  return 1 / (alpha_ * (restarts_ == 0 ? 0.8 : 0.2 / (r * (r + 1))));
}

bool ErrorEvidence::set(const State& state) {
  double all = state.audited + state.wrong;
  for (const double wealth : state.wealth) all += wealth;
  const bool negative = std::any_of(state.wealth.begin(), state.wealth.end(), [](double w) { return w < 0; });
  if (!std::isfinite(all) || negative || state.audited < state.wrong || state.wrong < 0) return false;
  wealth_ = state.wealth;
  audited_ = state.audited;
  wrong_ = state.wrong;
  restarts_ = state.restarts;
  return true;
}

}  // namespace tandem::semantic
