// The limit of everything that comes from outside or could grow without end. A limit that users may want
// to change is a config key instead, and has its default there.

#pragma once

#include <cstddef>
#include <cstdint>

namespace tandem::limits {

// Texts and jobs.
inline constexpr size_t kTextBytesMax = 4u << 20;     // one user text; longer is refused with kTooLong
inline constexpr size_t kPayloadBytesMax = 8u << 20;  // a job or a result on the wire and in the journal
inline constexpr size_t kTasksPerJobMax = 16;
inline constexpr size_t kHistoryTurnsMax = 64;  // messages in front of the last one
inline constexpr size_t kVariablesMax = 16;
inline constexpr size_t kNameBytesMax = 128;  // names of clients, workers, tasks, models, variables
inline constexpr size_t kVariableBytesMax = 64u << 10;
inline constexpr size_t kStopStringsMax = 16;
inline constexpr size_t kStopBytesMax = 256;
inline constexpr size_t kLabelsPerTaskMax = 256;
inline constexpr size_t kTagBytesMax = 1024;  // the caller's own note on a job, returned with its result

// Messages.
inline constexpr size_t kItemsPerMessageMax = 4096;
inline constexpr size_t kTasksPerWorkerMax = 1024;
inline constexpr size_t kMessageBytesMax = 64u << 20;
inline constexpr size_t kErrorTextBytesMax = 2048;
inline constexpr uint32_t kAttemptsMax = 100;
inline constexpr uint64_t kDelayMsMax = 366ull * 24 * 3600 * 1000;  // of delays and times to live: a year

// Files.
inline constexpr size_t kConfigBytesMax = 1u << 20;
inline constexpr size_t kTokenizerBytesMax = 64u << 20;
inline constexpr size_t kSafetensorsHeaderBytesMax = 100u << 20;  // as in the reference implementation
inline constexpr size_t kJsonLineBytesMax = 16u << 20;

}  // namespace tandem::limits
