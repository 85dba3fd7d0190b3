// A text as a point: texts that mean the same are near each other.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"

namespace tandem::semantic {

// Any number of threads may embed at once. The same text gives the same bits on every machine.
class Embedder {
 public:
  virtual ~Embedder() = default;
  virtual size_t dimension() const = 0;
  // `dimension()` numbers of unit length, or all zero for a text with nothing in it.
  virtual Result<std::vector<float>> embed(std::string_view text) const = 0;
  // Which embedder with which weights: vectors of another mean nothing beside its own.
  virtual const std::string& fingerprint() const = 0;
};

}  // namespace tandem::semantic
