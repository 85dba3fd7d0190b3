// For benchmarks: what has to work before anything can be measured.

#pragma once

#include <cstdio>
#include <utility>

#include "shared/base/assert.h"
#include "shared/base/result.h"

namespace tandem::bench {

// The value; or the error on standard error, and the end.
template <typename T>
T must(Result<T> result) {
  if (!result) std::fprintf(stderr, "bench: %s\n", result.error().text.c_str());
  TANDEM_ASSERT(result.has_value(), "a benchmark can open what it measures");
  return std::move(*result);
}

}  // namespace tandem::bench
