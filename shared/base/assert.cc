#include "shared/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace tandem {

void assertion_failed(const char* condition, const char* why, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: this should hold: %s (%s). Please report it with this line.\n", file, line,
               condition, why);
  std::abort();
}

}  // namespace tandem
