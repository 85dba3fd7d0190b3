// Checks for what only a bug can break. Always compiled in; TANDEM_DCHECK is the one for inner loops.

#pragma once

namespace tandem {

// Prints the condition, the reason it should hold and the place, and aborts.
[[noreturn]] void assertion_failed(const char* condition, const char* why, const char* file, int line);

}  // namespace tandem

#define TANDEM_ASSERT(condition, why) \
  ((condition) ? (void)0 : ::tandem::assertion_failed(#condition, why, __FILE__, __LINE__))

#ifdef NDEBUG
#define TANDEM_DCHECK(condition, why) ((void)0)
#else
#define TANDEM_DCHECK(condition, why) TANDEM_ASSERT(condition, why)
#endif
