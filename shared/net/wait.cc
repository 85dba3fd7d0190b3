#include "shared/net/wait.h"

#include <cerrno>
#include <vector>
#include <zmq.hpp>

namespace tandem {

bool wait(std::span<const Waitable> what, Duration time) try {
  std::vector<zmq::pollitem_t> items;
  items.reserve(what.size());
  for (const Waitable& one : what) {
    zmq::pollitem_t item{};
    if (one.socket_ != nullptr) {
      item.socket = one.socket_->socket().handle();
    } else {
      item.fd = one.wake_->fd();
    }
    item.events = one.for_room_ ? ZMQ_POLLOUT : ZMQ_POLLIN;
    items.push_back(item);
  }

  // Rounded up: a wait that ends a moment early would be followed by many of no time at all.
  milliseconds timeout{-1};
  if (time != Duration::max()) timeout = std::max(milliseconds(0), std::chrono::ceil<milliseconds>(time));
  const int n_ready = zmq::poll(items, timeout);

  for (size_t i = 0; i < items.size(); ++i) {
    if (what[i].wake_ != nullptr && items[i].revents != 0) what[i].wake_->clear();
  }
  return n_ready > 0;
} catch (const zmq::error_t& error) {
  TANDEM_ASSERT(error.num() == EINTR, "sockets that are polled are open");
  return true;  // a signal; its handler may have set a Wake, so the caller looks again
}

}  // namespace tandem
