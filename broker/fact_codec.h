// The bytes of a fact in the journal. This is the format's specification; its version is kFormatVersion.
// Numbers are little-endian. A fact is a head of 88 bytes, names and texts, and the payload:
//
//   accepted fact                          finished fact
//    0  u8   1                              0  u8   2
//    1  u8   bytes of client                1  u8   bytes of worker
//    2  u8   urgency                        2  u8   state: 3 done and above (shared/protocol/messages.h)
//    3  u8   priority                       3  u8   error code, 0 for none (shared/base/error.h)
//    4  u32  cost                           4  u32  attempt
//    8  u32  attempts_max                   8  u32  bytes of error text
//   12  u32  bytes of payload              12  u32  bytes of payload
//   16  u64  route                         16  u64  sequence of the accepted fact
//   24  i64  wall_ms                       24  i64  wall_ms
//   32  16   job id                        32  16   job id
//   48  16   hash of the payload           48  16   hash of the payload
//   64  i64  not_before_ms                 64  16   0
//   72  i64  expires_ms
//   80  u64  hash of the head              80  u64  hash of the head
//   88  client                             88  worker, error text
//   ..  payload                            ..  payload
//
// The payload's hash is the canonical XXH3-128 with the journal's seed; that of the head is the last 8 bytes
// of the same over everything before the payload, computed with the fact's sequence in its own place, so that
// a fact found under another key is noticed. The payload has its own because a replay does not touch
// payloads, and because equal jobs are found by it.
//
// A change of any byte here is a new kFormatVersion; journals of another version are refused.

#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "broker/facts.h"
#include "shared/base/result.h"

namespace tandem::broker {

inline constexpr uint32_t kFormatVersion = 2;

size_t encoded_bytes(const AcceptedFact& fact);
size_t encoded_bytes(const FinishedFact& fact);
// Writes so many bytes to `out`. An accepted fact knows the hash of its payload already.
void encode(const AcceptedFact& fact, uint64_t seed, char* out);
void encode(const FinishedFact& fact, uint64_t seed, char* out);

struct DecodedHead {
  std::variant<AcceptedFact, FinishedFact> fact;  // its payload left empty
  size_t payload_bytes = 0;
};

// kCorrupt says what was expected and found. Looks at nothing behind the head and its texts.
Result<DecodedHead> decode_head(Sequence sequence, std::string_view bytes, uint64_t seed);

// The payload's bytes within `bytes`. kCorrupt as above, or when they are not the ones written.
Result<std::string_view> decode_payload(Sequence sequence, std::string_view bytes, uint64_t seed);

}  // namespace tandem::broker
