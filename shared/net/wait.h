// The one place where a thread with sockets waits.

#pragma once

#include <initializer_list>
#include <span>

#include "shared/base/clock.h"
#include "shared/base/wake.h"
#include "shared/net/socket.h"

namespace tandem {

// A socket with a message to read, or a Wake that was set (an inbox, a stop signal).
class Waitable {
 public:
  Waitable(Socket& socket) : socket_(&socket) {}  // NOLINT: reads well in wait({...})
  Waitable(Wake& wake) : wake_(&wake) {}          // NOLINT
  // A socket that send() would not answer with kFull.
  static Waitable room(Socket& socket) {
    Waitable waitable(socket);
    waitable.for_room_ = true;
    return waitable;
  }

 private:
  friend bool wait(std::span<const Waitable> what, Duration time);
  Socket* socket_ = nullptr;
  Wake* wake_ = nullptr;
  bool for_room_ = false;
};

// Until something can be read, or `time` passed (zero: look only; Duration::max(): for ever). False when time
// passed. A Wake that was set is cleared: look at its inbox after this, not before. A signal ends the wait,
// too.
bool wait(std::span<const Waitable> what, Duration time);
inline bool wait(std::initializer_list<Waitable> what, Duration time) {
  return wait(std::span<const Waitable>(what.begin(), what.size()), time);
}

}  // namespace tandem
