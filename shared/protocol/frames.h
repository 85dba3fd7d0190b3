// Messages to frames and back. A message is three frames (README.md beside this file):
//
//   head      2 bytes: protocol version, kind
//   envelope  msgpack array of the message's fields in order; payloads are there by their size only
//   payload   the payloads of all items, one after the other; empty if the kind has none
//
// Pure; safe from any thread. Nothing read from outside can make it allocate more than a small multiple of
// the frames' own size.

#pragma once

#include <span>
#include <string>
#include <string_view>

#include "shared/base/result.h"
#include "shared/protocol/messages.h"

namespace tandem {

struct Frames {
  std::string head;
  std::string envelope;
  std::string payload;
};

Frames encode(const Message& message);
// For a peer that speaks another version: Refused is the same in all of them.
Frames encode(const Refused& refused, uint8_t version);

// The payloads in the message are slices of `payload`, not copies.
// kInvalid: what was expected and found, with the field's name. kUnsupported: another protocol version.
// kTooLong: a limit of shared/base/limits.h, named. Refused is read under any version: its error says which
// one the peer speaks.
Result<Message> decode(std::string_view head, std::string_view envelope, const Bytes& payload);

// The number under which the answer to a message goes, also of one that decode() refuses for what comes after
// it. 0 where it cannot be read, or the kind has none.
uint64_t request_of(std::string_view head, std::string_view envelope);

// The protocol version that a head claims; 0 if it is no head.
uint8_t version_of(std::string_view head);

// "submit", "accepted", ...: for logs and errors.
std::string_view kind_name(const Message& message);

}  // namespace tandem
