// A broker that speaks another version of the protocol: how it is noticed, and what the caller is told.

#pragma once

#include <optional>
#include <string>

#include "shared/base/error.h"
#include "shared/protocol/messages.h"

namespace tandem {

// The version that the broker speaks, when `error` is its refusal of ours: decode() words it, in every
// version, "expected protocol version <its own>, found <ours>".
std::optional<uint32_t> other_version(const Error& error);

// What the broker has said under a head that cannot be read here: `error` is what our decode() made of it,
// "expected protocol version <ours>, found <its own>". Nothing when it is about something else.
std::optional<Refused> refused_version(const Error& error);

// "the broker at tcp://... speaks version 3 of the protocol, this program version 2: ..."
Error version_error(uint32_t theirs, const std::string& endpoint);

}  // namespace tandem
