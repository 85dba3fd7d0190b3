// Whether somebody waits. One list for queue and worker.

#pragma once

#include <cstdint>
#include <string_view>

namespace tandem {

// Somebody waits for an interactive job; a bulk job is one of many. Interactive ones go first, and room is
// kept for them. The numbers are part of the wire format.
enum class Urgency : uint8_t { kBulk = 0, kInteractive = 1 };

inline std::string_view to_string(Urgency urgency) {
  return urgency == Urgency::kInteractive ? "interactive" : "bulk";
}

}  // namespace tandem
