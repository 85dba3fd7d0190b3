// What each role may say, and under which name: all the rules about keys that the broker has, in one place.
// Pure.

#pragma once

#include <string>
#include <string_view>

#include "shared/base/result.h"
#include "shared/net/allowlist.h"
#include "shared/protocol/messages.h"

namespace tandem::broker {

// What clients ask for is for clients and admins, what workers say for workers. What the broker itself says
// is for nobody. A new kind of message does not compile until it has its line.
bool may(Role role, const Message& message);

// Whether `sender` may say `message`, and as whom. Where a message names a client, that is the name of the
// key; an empty one is filled in, and an admin may name anybody except in Submit. A worker's name is that of
// its key, or begins with it and '.' or '-': one key does for all workers of a host. kInvalid names what was
// expected and found.
Result<void> check_sender(const PeerName& sender, Message& message);

// The client whose jobs alone exist for `sender`; empty: all of them.
std::string only_client(const PeerName& sender);

// A client hears what is published under its own name, exactly "<name>/"; an admin whatever it likes.
bool may_subscribe(const PeerName& sender, std::string_view topic);

}  // namespace tandem::broker
