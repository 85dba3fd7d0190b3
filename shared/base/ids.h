// Names of jobs. Chosen by the client and unique everywhere, they are the idempotency key of the queue.

#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "shared/base/result.h"

namespace tandem {

// 16 bytes, by default a UUIDv7 (RFC 9562 section 5.7): 48 bits of Unix milliseconds, then random bits,
// so that ids made later sort later and the journal's keys are nearly sequential.
struct JobId {
  std::array<uint8_t, 16> bytes{};

  auto operator<=>(const JobId&) const = default;

  // "01890a5d-ac96-774b-bcce-b302099a8057"
  std::string to_string() const;
  // kInvalid unless `text` is 32 hexadecimal digits in the 8-4-4-4-12 form.
  static Result<JobId> parse(std::string_view text);
  // kInvalid unless `bytes` are 16.
  static Result<JobId> from_bytes(std::span<const std::byte> bytes);
};

// A new UUIDv7. Safe from any thread; ids made by one thread in one millisecond keep their order.
JobId make_job_id();

// The id that a text key always gets (RFC 9562 UUIDv8 from a 128-bit hash): for callers whose own ids are
// not UUIDs, such as a row's `id` in a file.
JobId job_id_from_key(std::string_view key);

}  // namespace tandem

template <>
struct std::hash<tandem::JobId> {
  // Another one in every process: clients choose ids, and are not to choose which of them meet in a table.
  size_t operator()(const tandem::JobId& id) const noexcept;
};
