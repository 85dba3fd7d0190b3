// Whether what a program printed has arrived.

#pragma once

#include "shared/base/result.h"

namespace tandem {

// Flushes std::cout and stdout. kFull (no space on the disk) or kIo when anything that was printed since the
// program began is lost. A pipe whose reader has gone is well: `head` has had enough.
Result<void> flush_standard_output();

}  // namespace tandem
