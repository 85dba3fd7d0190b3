// What each role may say, and under which name: all the rules about keys that the broker has, in one place.
// Pure.

#pragma once

#include "shared/base/result.h"
#include "shared/net/allowlist.h"
#include "shared/protocol/messages.h"

namespace tandem::broker {

// What clients ask for is for clients and admins, what workers say for workers. What the broker itself says
// is for nobody. A new kind of message does not compile until it has its line.
bool may(Role role, const Message& message);

// Whether `sender` may say `message`, and as whom. A client goes by the name of its key; an empty
// Submit.client is filled in. A worker's name is that of its key, or begins with it and '.' or '-': one key
// does for all workers of a host. kInvalid names what was expected and found.
Result<void> check_sender(const PeerName& sender, Message& message);

// A client hears what is published under its own name, "<name>/"; an admin whatever it likes.
bool may_subscribe(const PeerName& sender, std::string_view topic);

}  // namespace tandem::broker
