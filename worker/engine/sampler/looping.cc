#include <algorithm>
#include <cstddef>

#include "worker/engine/sampler/stop_strings.h"

namespace tandem::engine {
namespace {

// A pattern counts when it fills the last 48 tokens and is there six times at least. People do repeat
// themselves: "ha ha ha", a refrain sung four times, a row of zeros, a line of a table; few do it six times
// in a row without any change, and a wrong alarm cuts a good answer while a late one only costs some tokens.
constexpr size_t kPeriodMax = 64;
constexpr size_t kRepeatsMin = 6;
constexpr size_t kTokensMin = 48;

}  // namespace

bool is_looping(const std::vector<int32_t>& generated) {
  for (size_t period = 1; period <= kPeriodMax; ++period) {
    const size_t n_tokens = std::max(kTokensMin, kRepeatsMin * period);
    if (generated.size() < n_tokens) return false;
    const auto tail = generated.end() - static_cast<ptrdiff_t>(n_tokens);
    // Compared from the newest token back: where there is no loop, the first look already differs.
    size_t i = n_tokens - period;
    while (i > 0 && tail[static_cast<ptrdiff_t>(i - 1)] == tail[static_cast<ptrdiff_t>(i - 1 + period)]) --i;
    if (i == 0) return true;
  }
  return false;
}

}  // namespace tandem::engine
