// What this machine can do at most: the figures that others are a share of.

#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

namespace tandem::bench {

struct Ceiling {
  double per_second = 0;  // operations or bytes, all threads together
  std::string_view with;  // the instructions that reached it
};

// Float multiply-adds (counted as two operations each) in registers, on `n_threads` at once, for about
// `time`. The widest instructions of this CPU are used: AVX-512, AVX2 with FMA, or what the compiler makes of
// plain C++.
Ceiling measure_fma(size_t n_threads, std::chrono::duration<double> time);

// Multiply-adds of 8-bit integers into 32 bits (two operations each): AVX-512 VNNI, or AVX2's three
// instructions. None on other CPUs.
std::optional<Ceiling> measure_int8(size_t n_threads, std::chrono::duration<double> time);

// Bytes read from memory: each thread reads its part of an array of `n_bytes`, the best of a few rounds. Take
// more than the caches hold.
Ceiling measure_bandwidth(size_t n_threads, size_t n_bytes);

}  // namespace tandem::bench
