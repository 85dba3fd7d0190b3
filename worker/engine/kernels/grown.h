// Memory that is kept from call to call and only ever grows.

#pragma once

#include <cstddef>
#include <vector>

namespace tandem::engine {

// The first of at least n places; what was in them may be anything.
template <typename T>
T* grown(std::vector<T>& memory, size_t n) {
  if (memory.size() < n) memory.resize(n);
  return memory.data();
}

}  // namespace tandem::engine
