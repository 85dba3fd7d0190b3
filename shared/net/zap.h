// The door of a broker with keys: ZeroMQ asks it for every connection, before anything is read from it
// (ZeroMQ RFC 27, ZAP).

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/wake.h"
#include "shared/net/allow_file.h"
#include "shared/net/context.h"

namespace zmq {
class socket_t;
}

namespace tandem {

// The domain under which sockets with keys ask.
inline constexpr const char* kZapDomain = "tandem";

// The frames of a ZAP reply to those of a request, pure: status 200 and the public key (Z85) as user id for a
// key of the list; 300 for one that is shut out for a while, which ZeroMQ tries again; 400 for any other, and
// for other mechanisms and domains; 500 for what is no request.
struct ZapAnswer {
  std::vector<std::string> frames;
  std::string public_key;  // Z85, where there was one
  std::string address;     // of the peer
  std::string reason;      // empty: allowed
};
ZapAnswer answer_zap(const std::vector<std::string>& request, const Allowlist& list,
                     const std::unordered_set<std::string>& shut_out = {});

// Owns a thread. Between requests it looks at the allow file once a second. Start it before the first socket
// with keys is bound, and keep it as long as there is one. One to a context.
class ZapHandler {
 public:
  // `context` and `file` outlive the handler. kExists when the context has a handler.
  static Result<std::unique_ptr<ZapHandler>> start(NetContext& context, AllowFile& file);
  ~ZapHandler();

  // Any thread. For a minute no connection is let in with that key; those that are there stay.
  void shut_out(const std::string& public_key, std::string_view reason);

  // Any thread.
  uint64_t n_allowed() const { return n_allowed_.load(std::memory_order_relaxed); }
  uint64_t n_refused() const { return n_refused_.load(std::memory_order_relaxed); }

 private:
  ZapHandler(NetContext& context, std::unique_ptr<zmq::socket_t> socket, AllowFile& file);
  void run();
  void answer_one();
  void log_refusal(const ZapAnswer& answer);
  std::unordered_set<std::string> shut_out_now();

  NetContext& context_;
  std::unique_ptr<zmq::socket_t> socket_;
  AllowFile& file_;
  Wake stop_;
  std::atomic<bool> stopping_ = false;
  std::atomic<uint64_t> n_allowed_ = 0, n_refused_ = 0;
  // At most one line a second: whoever knocks a thousand times a second does not fill the disk.
  TimePoint logged_at_{};
  uint64_t n_unlogged_ = 0;
  SystemClock clock_;
  std::mutex mutex_;
  std::unordered_map<std::string, TimePoint> shut_out_until_;  // under mutex_
  Log log_{"broker.keys"};
  std::thread thread_;
};

}  // namespace tandem
