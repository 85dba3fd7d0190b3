// The ZeroMQ context of a process: its input and output threads.

#pragma once

#include <atomic>
#include <memory>

namespace zmq {
class context_t;
}

namespace tandem {

// Outlives every socket made from it. Safe from any thread. The destructor waits for what sockets still had
// to send, each up to its linger time.
class NetContext {
 public:
  NetContext();
  ~NetContext();
  NetContext(const NetContext&) = delete;
  NetContext& operator=(const NetContext&) = delete;

  zmq::context_t& get() { return *context_; }

  // Whether a ZapHandler answers for the sockets that are bound with keys.
  bool has_zap_handler() const { return has_zap_handler_; }
  void set_has_zap_handler(bool has) { has_zap_handler_ = has; }

 private:
  std::atomic<bool> has_zap_handler_ = false;
  std::unique_ptr<zmq::context_t> context_;
};

}  // namespace tandem
