// What can go wrong, as one list for the whole of Tandem: functions return it inside a Result, and the
// same numbers and names travel on the wire, so that a client sees the code the worker meant.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tandem {

// The numbers are part of the wire format (shared/protocol/README.md): never renumber, only add.
enum class ErrorCode : uint8_t {
  kInvalid = 1,       // the input breaks a rule that is written down; sending it again cannot help
  kNotFound = 2,      // nothing there under that name
  kExists = 3,        // something else is there already
  kFull = 4,          // a limit is reached; later it may work
  kUnavailable = 5,   // the other side is away; later it may work
  kTimeout = 6,       // not done in the time given
  kCancelled = 7,     // the caller took it back
  kExpired = 8,       // its time to live ended before it was done
  kCorrupt = 9,       // stored or received bytes are not what they claim to be
  kUnsupported = 10,  // understood, but this build or model cannot do it
  kIo = 11,           // the operating system refused: disk, memory map, socket
  kInternal = 12,     // a bug here, or a task that failed for no reason of its input
  kTooLong = 13,      // a text is longer than the task or the model allows
  kAttempts = 14,     // given up after attempts_max leases
};

// "invalid", "not_found" and so on: in JSON output, logs and metrics.
std::string_view to_string(ErrorCode code);
std::optional<ErrorCode> error_code_from(uint64_t number);

// `text` says what was expected and what was found, and where.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string text;

  bool operator==(const Error&) const = default;
};

}  // namespace tandem
