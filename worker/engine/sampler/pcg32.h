// The random numbers of the sampler: PCG32 (XSH-RR 64/32) by M. E. O'Neill, with a jump to any place in its
// sequence.

#pragma once

#include <cstdint>

namespace tandem::engine {

class Pcg32 {
 public:
  explicit Pcg32(uint64_t seed, uint64_t stream = 54) : increment_(stream << 1 | 1) {
    next();
    state_ += seed;
    next();
  }

  uint32_t next() {
    const uint64_t old = state_;
    state_ = old * kMultiplier + increment_;
    const auto mixed = static_cast<uint32_t>((old >> 18 ^ old) >> 27);
    const auto turn = static_cast<uint32_t>(old >> 59);
    return mixed >> turn | mixed << (-turn & 31);
  }

  // As next() called `n_steps` times, in at most 64 rounds (F. Brown, "Random number generation with
  // arbitrary strides", 1994).
  void skip(uint64_t n_steps) {
    uint64_t multiplier = 1, addend = 0, power = kMultiplier, power_addend = increment_;
    for (; n_steps > 0; n_steps >>= 1) {
      if (n_steps & 1) {
        multiplier *= power;
        addend = addend * power + power_addend;
      }
      power_addend *= power + 1;
      power *= power;
    }
    state_ = state_ * multiplier + addend;
  }

  // In [0, 1), all 53 bits of a double. Takes two numbers.
  double next_unit() {
    const uint64_t high = next();
    return static_cast<double>((high << 32 | next()) >> 11) * 0x1p-53;
  }

 private:
  static constexpr uint64_t kMultiplier = 6364136223846793005u;
  uint64_t state_ = 0;
  uint64_t increment_;
};

}  // namespace tandem::engine
