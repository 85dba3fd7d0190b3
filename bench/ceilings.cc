#include "bench/ceilings.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tandem::bench {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;

constexpr size_t kRounds = 1 << 16;  // of one call: some tens of microseconds
constexpr size_t kChains = 12;       // independent sums: FMA takes 4 or 5 cycles and two start in each

// One call does kRounds rounds and returns its number of operations. The results go through here, so that the
// compiler cannot leave the work out.
using Kernel = double (*)();
volatile float float_sink = 0;
volatile int32_t int_sink = 0;

double fma_plain() {
  float sums[kChains * 4] = {};
  float factor = 0.999f;
  for (size_t round = 0; round < kRounds; ++round) {
    asm volatile("" : "+m"(factor));
    for (float& sum : sums) sum = sum * factor + 0.5f;
  }
  float_sink = std::accumulate(std::begin(sums), std::end(sums), 0.0f);
  return static_cast<double>(kRounds * std::size(sums) * 2);
}

#if defined(__x86_64__)

__attribute__((target("avx2,fma"))) double fma_avx2() {
  __m256 sums[kChains];
  for (__m256& sum : sums) sum = _mm256_set1_ps(1);
  const __m256 factor = _mm256_set1_ps(0.999f), term = _mm256_set1_ps(0.5f);
  for (size_t round = 0; round < kRounds; ++round) {
#pragma GCC unroll 12
    for (size_t i = 0; i < kChains; ++i) sums[i] = _mm256_fmadd_ps(sums[i], factor, term);
  }
  for (size_t i = 1; i < kChains; ++i) sums[0] = _mm256_add_ps(sums[0], sums[i]);
  float_sink = _mm256_cvtss_f32(sums[0]);
  return static_cast<double>(kRounds * kChains * 8 * 2);
}

__attribute__((target("avx512f"))) double fma_avx512() {
  __m512 sums[kChains];
  for (__m512& sum : sums) sum = _mm512_set1_ps(1);
  const __m512 factor = _mm512_set1_ps(0.999f), term = _mm512_set1_ps(0.5f);
  for (size_t round = 0; round < kRounds; ++round) {
#pragma GCC unroll 12
    for (size_t i = 0; i < kChains; ++i) sums[i] = _mm512_fmadd_ps(sums[i], factor, term);
  }
  for (size_t i = 1; i < kChains; ++i) sums[0] = _mm512_add_ps(sums[0], sums[i]);
  float_sink = _mm512_cvtss_f32(sums[0]);
  return static_cast<double>(kRounds * kChains * 16 * 2);
}

__attribute__((target("avx2"))) double int8_avx2() {
  __m256i sums[kChains];
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  __m256i a = _mm256_set1_epi8(3);
  const __m256i b = _mm256_set1_epi8(-2), ones = _mm256_set1_epi16(1);
  for (size_t round = 0; round < kRounds; ++round) {
#pragma GCC unroll 12
    for (size_t i = 0; i < kChains; ++i) {
      asm volatile("" : "+x"(a));  // or the products would be computed once
      sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones));
    }
  }
  for (size_t i = 1; i < kChains; ++i) sums[0] = _mm256_add_epi32(sums[0], sums[i]);
  int_sink = _mm256_cvtsi256_si32(sums[0]);
  return static_cast<double>(kRounds * kChains * 32 * 2);
}

__attribute__((target("avx512f,avx512vnni"))) double int8_vnni() {
  static_assert(kChains == 12);
  __m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0, s8 = s0,
          s9 = s0, s10 = s0, s11 = s0;
  const __m512i a = _mm512_set1_epi32(0x03030303);
  const __m512i b = _mm512_set1_epi32(0x02020202);
  for (size_t round = 0; round < kRounds; ++round) {
    // Through the intrinsic g++ 12 copies every sum from register to register, which halves the rate.
    asm("vpdpbusd %13, %12, %0\n\tvpdpbusd %13, %12, %1\n\tvpdpbusd %13, %12, %2\n\t"
        "vpdpbusd %13, %12, %3\n\tvpdpbusd %13, %12, %4\n\tvpdpbusd %13, %12, %5\n\t"
        "vpdpbusd %13, %12, %6\n\tvpdpbusd %13, %12, %7\n\tvpdpbusd %13, %12, %8\n\t"
        "vpdpbusd %13, %12, %9\n\tvpdpbusd %13, %12, %10\n\tvpdpbusd %13, %12, %11"
        : "+v"(s0), "+v"(s1), "+v"(s2), "+v"(s3), "+v"(s4), "+v"(s5), "+v"(s6), "+v"(s7), "+v"(s8), "+v"(s9),
          "+v"(s10), "+v"(s11)
        : "v"(a), "v"(b));
  }
  for (const __m512i sum : {s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11}) s0 = _mm512_add_epi32(s0, sum);
  int_sink = _mm512_cvtsi512_si32(s0);
  return static_cast<double>(kRounds * kChains * 64 * 2);
}

#endif

// Runs on_thread(i) on n_threads threads and returns the seconds until the last is done.
template <typename F>
double on_all_threads(size_t n_threads, const F& on_thread) {
  const steady_clock::time_point begin = steady_clock::now();
  std::vector<std::thread> threads;
  for (size_t i = 0; i < n_threads; ++i) threads.emplace_back(on_thread, i);
  for (std::thread& thread : threads) thread.join();
  return duration<double>(steady_clock::now() - begin).count();
}

// Each thread's own rate, added: starting a thread is not part of it.
double measure(Kernel kernel, size_t n_threads, duration<double> time) {
  std::vector<double> rates(n_threads);
  on_all_threads(n_threads, [&](size_t i) {
    kernel();  // the clock may have to rise first
    const steady_clock::time_point begin = steady_clock::now();
    double n_operations = 0;
    duration<double> elapsed{};
    do {
      n_operations += kernel();
      elapsed = steady_clock::now() - begin;
    } while (elapsed < time);
    rates[i] = n_operations / elapsed.count();
  });
  return std::accumulate(rates.begin(), rates.end(), 0.0);
}

// 64 bytes at a time; the compiler splits them into the registers there are.
typedef uint64_t Line __attribute__((vector_size(64)));

constexpr size_t kLinesAhead = 64;

uint64_t read_all(const Line* lines, size_t n_lines) {
  Line sums[4] = {};
  for (size_t i = 0; i + 4 <= n_lines; i += 4) {
    // Asked for early, as the engine does: the CPU's own prefetching stops at each page.
    for (size_t j = 0; j < 4; ++j) __builtin_prefetch(lines + i + j + kLinesAhead);
    for (size_t j = 0; j < 4; ++j) sums[j] ^= lines[i + j];
  }
  const Line sum = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
  return sum[0] ^ sum[1] ^ sum[2] ^ sum[3] ^ sum[4] ^ sum[5] ^ sum[6] ^ sum[7];
}

}  // namespace

Ceiling measure_fma(size_t n_threads, duration<double> time) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return {measure(fma_avx512, n_threads, time), "AVX-512"};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return {measure(fma_avx2, n_threads, time), "AVX2 + FMA"};
  }
#endif
  return {measure(fma_plain, n_threads, time), "plain C++"};
}

std::optional<Ceiling> measure_int8(size_t n_threads, duration<double> time) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512vnni"))
    return Ceiling{measure(int8_vnni, n_threads, time), "AVX-512 VNNI"};
  if (__builtin_cpu_supports("avx2"))
    return Ceiling{measure(int8_avx2, n_threads, time), "AVX2, three instructions"};
#endif
  (void)n_threads, (void)time;
  return std::nullopt;
}

Ceiling measure_bandwidth(size_t n_threads, size_t n_bytes) {
  constexpr int kReadings = 5;
  const size_t n_lines = n_bytes / sizeof(Line) / n_threads;
  const size_t n_all = n_lines * n_threads * sizeof(Line);
  constexpr size_t kHugePage = 2u << 20;
  auto* lines =
      static_cast<Line*>(std::aligned_alloc(kHugePage, (n_all + kHugePage - 1) / kHugePage * kHugePage));
  if (lines == nullptr) return {0, "no memory"};
  (void)::madvise(lines, n_all, MADV_HUGEPAGE);  // a wish; works without
  std::memset(static_cast<void*>(lines), 1, n_all);

  double best = 1e30;
  for (int i = 0; i < kReadings; ++i) {
    best = std::min(best, on_all_threads(n_threads, [&](size_t thread) {
                      int_sink = static_cast<int32_t>(read_all(lines + thread * n_lines, n_lines));
                    }));
  }
  std::free(lines);
  return {static_cast<double>(n_all) / best, "reading"};
}

}  // namespace tandem::bench
