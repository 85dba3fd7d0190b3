// Evidence that a share of wrong answers is at most δ, valid whenever one looks at it.
//
// A betting test (I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by betting",
// JRSS-B 2024, section 4): against the claim "P(wrong) > δ" one starts with 1 and bets a share λ on every
// audited answer,
//
//   wealth(λ) *= 1 + λ * v * (δ - wrong)        wrong in {0, 1}, v in (0, 1], 0 < λ < 1 / (1 - δ)
//
// While the claim is true, wealth cannot grow on average: it is a supermartingale, whatever was seen before
// decides λ and v. So (Ville) the chance that it is ever above L is at most 1 / L. We hold a mixture of
// several λ, each capped: throwing wealth away keeps the inequality, and what has long been right must not
// take long to be doubted.
//
// When the wealth is lost, the test starts again, and asks for more: start r may use the share w(r) of the
// chance of error, w(0) = 0.8, w(r) = 0.2 / (r (r + 1)), which sum to 1.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tandem::semantic {

class ErrorEvidence {
 public:
  static constexpr size_t kBets = 4;

  // 0 < delta < 1; 0 < alpha < 1: the chance that convinced() is ever true although P(wrong) > delta always.
  ErrorEvidence(double delta, double alpha);

  // An audited answer. `weight` v: 1, or less where answers of this kind are audited more often than others.
  void add(bool wrong, double weight);

  // True while there is enough evidence for P(wrong) <= delta; false again when what follows speaks against
  // it.
  bool convinced() const { return wealth() >= needed(); }
  double wealth() const;
  double needed() const;  // 1 / (alpha * w(r))
  // Weighted counts since the first start.
  double audited() const { return audited_; }
  double wrong() const { return wrong_; }
  uint64_t restarts() const { return restarts_; }

  // All that changes; set() takes what state() gave.
  struct State {
    std::array<double, kBets> wealth;
    double audited, wrong;
    uint64_t restarts;
  };
  State state() const { return {wealth_, audited_, wrong_, restarts_}; }
  // False for what no test can hold (not finite, negative); it is unchanged then.
  bool set(const State& state);

 private:
  void start();

  double delta_, alpha_;
  std::array<double, kBets> wealth_{};
  double audited_ = 0, wrong_ = 0;
  uint64_t restarts_ = 0;
};

}  // namespace tandem::semantic
