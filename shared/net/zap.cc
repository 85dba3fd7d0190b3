#include "shared/net/zap.h"

#include <zmq.h>

#include <array>
#include <cerrno>
#include <zmq.hpp>

#include "shared/net/keys.h"

namespace tandem {
namespace {

constexpr const char* kEndpoint = "inproc://zeromq.zap.01";
constexpr milliseconds kLookEvery{1000};
constexpr std::chrono::seconds kLogEvery{1};
constexpr size_t kFramesMax = 16;
constexpr std::chrono::minutes kShutOutFor{1};

ZapAnswer reply(const std::string& request_id, const char* status, std::string reason, std::string user) {
  ZapAnswer answer;
  answer.frames = {"1.0", request_id, status, reason.empty() ? "OK" : reason, std::move(user), ""};
  answer.reason = std::move(reason);
  return answer;
}

std::string to_z85(const std::string& bytes) {
  std::array<char, kKeyCharacters + 1> text{};
  ::zmq_z85_encode(text.data(), reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  return text.data();
}

}  // namespace

// Request: version, request id, domain, address, identity, mechanism, credentials (of CURVE: 32 bytes).
ZapAnswer answer_zap(const std::vector<std::string>& request, const Allowlist& list,
                     const std::unordered_set<std::string>& shut_out) {
  const std::string request_id = request.size() > 1 ? request[1] : "";
  if (request.size() < 6 || request[0] != "1.0") return reply(request_id, "500", "no ZAP 1.0 request", "");
  const std::string& address = request[3];
  const auto refuse = [&](std::string reason, std::string key, const char* status = "400") {
    ZapAnswer answer = reply(request_id, status, std::move(reason), "");
    answer.address = address;
    answer.public_key = std::move(key);
    return answer;
  };
  if (request[2] != kZapDomain) return refuse("another domain", "");
  if (request[5] != "CURVE" || request.size() != 7 || request[6].size() != 32)
    return refuse("no CURVE key", "");
  std::string key = to_z85(request[6]);
  if (list.find(key) == nullptr) return refuse("key not in the allow file", std::move(key));
  if (shut_out.contains(key)) return refuse("key shut out for a while", std::move(key), "300");
  ZapAnswer answer = reply(request_id, "200", "", key);
  answer.address = address;
  answer.public_key = std::move(key);
  return answer;
}

ZapHandler::ZapHandler(NetContext& context, std::unique_ptr<zmq::socket_t> socket, AllowFile& file)
    : context_(context), socket_(std::move(socket)), file_(file), thread_([this] { run(); }) {
  context_.set_has_zap_handler(true);
}

ZapHandler::~ZapHandler() {
  context_.set_has_zap_handler(false);
  stopping_ = true;
  stop_.set();
  thread_.join();
  try {
    socket_->unbind(kEndpoint);  // at once, which closing is not: the next handler may follow
  } catch (const zmq::error_t&) {
    // The context is going, too.
  }
}

Result<std::unique_ptr<ZapHandler>> ZapHandler::start(NetContext& context, AllowFile& file) try {
  auto socket = std::make_unique<zmq::socket_t>(context.get(), zmq::socket_type::rep);
  socket->set(zmq::sockopt::linger, 0);
  socket->bind(kEndpoint);
  return std::unique_ptr<ZapHandler>(new ZapHandler(context, std::move(socket), file));
} catch (const zmq::error_t& error) {
  return fail(error.num() == EADDRINUSE ? ErrorCode::kExists : ErrorCode::kIo,
              std::string("the handler of keys: ") + error.what());
}

void ZapHandler::run() {
  while (!stopping_) {
    try {
      zmq::pollitem_t items[] = {{socket_->handle(), 0, ZMQ_POLLIN, 0}, {nullptr, stop_.fd(), ZMQ_POLLIN, 0}};
      zmq::poll(items, 2, kLookEvery);
      file_.look();
      if ((items[0].revents & ZMQ_POLLIN) != 0) answer_one();
    } catch (const zmq::error_t& error) {
      if (error.num() == EINTR) continue;
      log_.error("the handler of keys stops, nobody new is let in: {}", error.what());
      return;
    }
  }
}

void ZapHandler::answer_one() {
  std::vector<std::string> request;
  for (bool more = true; more;) {
    zmq::message_t frame;
    if (!socket_->recv(frame, zmq::recv_flags::dontwait)) return;
    more = frame.more();
    if (request.size() < kFramesMax) request.push_back(frame.to_string());
  }
  const ZapAnswer answer = answer_zap(request, *file_.current(), shut_out_now());
  for (size_t i = 0; i < answer.frames.size(); ++i) {
    const auto flags = i + 1 < answer.frames.size() ? zmq::send_flags::sndmore : zmq::send_flags::none;
    socket_->send(zmq::buffer(answer.frames[i]), flags);
  }
  if (answer.reason.empty()) {
    n_allowed_.fetch_add(1, std::memory_order_relaxed);
  } else {
    n_refused_.fetch_add(1, std::memory_order_relaxed);
    log_refusal(answer);
  }
}

void ZapHandler::shut_out(const std::string& public_key, std::string_view reason) {
  log_.warn("key shut out for a minute, {} key={}...", reason, public_key.substr(0, 8));
  const std::lock_guard lock(mutex_);
  shut_out_until_[public_key] = clock_.now() + kShutOutFor;
}

std::unordered_set<std::string> ZapHandler::shut_out_now() {
  std::unordered_set<std::string> keys;
  const std::lock_guard lock(mutex_);
  std::erase_if(shut_out_until_, [now = clock_.now()](const auto& one) { return one.second <= now; });
  for (const auto& [key, until] : shut_out_until_) keys.insert(key);
  return keys;
}

void ZapHandler::log_refusal(const ZapAnswer& answer) {
  const TimePoint now = clock_.now();
  if (now - logged_at_ < kLogEvery) {
    ++n_unlogged_;
    return;
  }
  logged_at_ = now;
  log_.warn("connection refused, {} key={}... address={} also_refused={}", answer.reason,
            answer.public_key.substr(0, 8), answer.address, n_unlogged_);
  n_unlogged_ = 0;
}

}  // namespace tandem
