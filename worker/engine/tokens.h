// Token ids, the one word that tokenizer, model and sampler share.

#pragma once

#include <cstdint>
#include <vector>

namespace tandem::engine {

using TokenId = int32_t;
using Tokens = std::vector<TokenId>;

}  // namespace tandem::engine
