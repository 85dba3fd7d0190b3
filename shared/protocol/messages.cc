#include "shared/protocol/messages.h"

namespace tandem {

std::string_view to_string(JobState state) {
  switch (state) {
    case JobState::kUnknown:
      return "unknown";
    case JobState::kReady:
      return "ready";
    case JobState::kLeased:
      return "leased";
    case JobState::kDone:
      return "done";
    case JobState::kFailed:
      return "failed";
    case JobState::kDead:
      return "dead";
    case JobState::kExpired:
      return "expired";
    case JobState::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

}  // namespace tandem
