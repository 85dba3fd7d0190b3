// LMDB's return codes as errors. Inside shared/store only.

#pragma once

#include <string>

#include "shared/base/result.h"

namespace tandem {

tl::unexpected<Error> fail_lmdb(const std::string& place, int code);

}  // namespace tandem
