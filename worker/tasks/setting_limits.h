// The ranges of what a task file or a job may ask of decoding. One list for both.

#pragma once

#include <cstdint>

namespace tandem::setting_limits {

inline constexpr uint32_t kTokensMax = 4096;  // of a completion
inline constexpr double kTemperatureMax = 2;
inline constexpr uint32_t kTopKMax = 1'000'000;
inline constexpr double kRepetitionPenaltyMin = 0.1;
inline constexpr double kRepetitionPenaltyMax = 10;
inline constexpr uint32_t kNoRepeatNgramMax = 64;

// Of task files only.
inline constexpr uint32_t kInputTokensMax = 1'000'000;
inline constexpr uint32_t kInputCharsMax = 4'194'304;  // a text has no more bytes
inline constexpr uint32_t kPieceCharsMin = 100;
inline constexpr uint32_t kPieceTokensMin = 64;
inline constexpr uint32_t kPiecesMax = 10'000;
inline constexpr int64_t kCacheTtlSecondsMax = 10ll * 365 * 24 * 3600;

}  // namespace tandem::setting_limits
