#include "shared/base/error.h"

namespace tandem {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid:
      return "invalid";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kExists:
      return "exists";
    case ErrorCode::kFull:
      return "full";
    case ErrorCode::kUnavailable:
      return "unavailable";
    case ErrorCode::kTimeout:
      return "timeout";
    case ErrorCode::kCancelled:
      return "cancelled";
    case ErrorCode::kExpired:
      return "expired";
    case ErrorCode::kCorrupt:
      return "corrupt";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kInternal:
      return "internal";
    case ErrorCode::kTooLong:
      return "too_long";
    case ErrorCode::kAttempts:
      return "attempts";
  }
  return "unknown";
}

std::optional<ErrorCode> error_code_from(uint64_t number) {
  if (number < 1 || number > static_cast<uint64_t>(ErrorCode::kAttempts)) return std::nullopt;
  return static_cast<ErrorCode>(number);
}

}  // namespace tandem
