// Durations and sizes as people write them.

#include <array>
#include <charconv>
#include <utility>

#include "shared/config/config_reader.h"

namespace tandem {
namespace {

using Unit = std::pair<std::string_view, uint64_t>;

constexpr std::array<Unit, 5> kDurations = {
    Unit{"d", 86'400'000}, {"h", 3'600'000}, {"min", 60'000}, {"s", 1000}, {"ms", 1}};
constexpr std::array<Unit, 9> kSizes = {Unit{"TiB", 1ull << 40},
                                        {"GiB", 1ull << 30},
                                        {"MiB", 1ull << 20},
                                        {"KiB", 1ull << 10},
                                        {"TB", 1'000'000'000'000},
                                        {"GB", 1'000'000'000},
                                        {"MB", 1'000'000},
                                        {"kB", 1000},
                                        {"B", 1}};
constexpr uint64_t kProductMax = 1ull << 62;

// count * unit; nothing when it is neither or too large.
template <size_t n>
std::optional<uint64_t> parse(std::string_view text, const std::array<Unit, n>& units, bool unit_needed) {
  uint64_t count = 0;
  const char* end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, count);
  if (failure != std::errc{}) return std::nullopt;
  std::string_view unit(rest, static_cast<size_t>(end - rest));
  if (unit.starts_with(' ')) unit.remove_prefix(1);
  if (unit.empty() && !unit_needed && count <= kProductMax) return count;
  for (const auto& [name, factor] : units) {
    if (unit == name && count <= kProductMax / factor) return count * factor;
  }
  return std::nullopt;
}

}  // namespace

Result<milliseconds> parse_duration(std::string_view text) {
  if (const auto count = parse(text, kDurations, true); count && *count <= kProductMax / 1'000'000) {
    return milliseconds(*count);
  }
  return fail(ErrorCode::kInvalid,
              "expected a duration such as 250ms, 5s, 2min or 1h, found '" + std::string(text) + "'");
}

std::string format_duration(milliseconds time) {
  const auto count = static_cast<uint64_t>(time.count());
  for (const auto& [name, factor] : kDurations) {
    if (time.count() > 0 && count % factor == 0) return std::to_string(count / factor) + std::string(name);
  }
  return std::to_string(time.count()) + "ms";
}

Result<uint64_t> parse_bytes(std::string_view text) {
  if (const auto count = parse(text, kSizes, false)) return *count;
  return fail(ErrorCode::kInvalid,
              "expected a size such as 4096, 64MiB or 2GiB, found '" + std::string(text) + "'");
}

std::string format_bytes(uint64_t n_bytes) {
  for (size_t i = 0; i < 4; ++i) {
    const auto& [name, factor] = kSizes[i];
    if (n_bytes > 0 && n_bytes % factor == 0) return std::to_string(n_bytes / factor) + std::string(name);
  }
  return std::to_string(n_bytes) + "B";
}

}  // namespace tandem
