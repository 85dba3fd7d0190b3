// Joins the two halves of a client: Outstanding decides, ClientPorts speaks and hears.

#include "client/include/tandem/client.h"

#include <algorithm>

#include "client/library/outstanding.h"
#include "client/library/ports.h"
#include "client/library/version.h"
#include "shared/base/hash.h"
#include "shared/base/limits.h"

namespace tandem {
namespace {

constexpr size_t kFlushAt = 256;  // queued items that submit() sends without waiting for wait()
constexpr Duration kLookEvery = milliseconds(50);
constexpr Duration kAskAgain = std::chrono::seconds(1);

// Tokens in and out, roughly: three bytes a token, and what each task may answer.
uint32_t estimate_cost(const JobRequest& request) {
  size_t n_bytes = request.text.size();
  for (const ChatTurn& turn : request.history) n_bytes += turn.text.size();
  const size_t n_tokens = n_bytes / 3 + 16;
  return static_cast<uint32_t>(
      std::min<size_t>(n_tokens * std::max<size_t>(request.tasks.size(), 1), 1u << 30));
}

Result<void> check_name(const std::string& name) {
  if (name.find('/') != std::string::npos || name.size() > limits::kNameBytesMax) {
    return fail(ErrorCode::kInvalid, "client name: expected up to " + std::to_string(limits::kNameBytesMax) +
                                         " bytes without '/', found '" + name.substr(0, 200) + "'");
  }
  return {};
}

// Of a delay or time to live; nothing is rounded to 0, which would mean none.
Result<uint64_t> whole_ms(const char* what, Duration duration) {
  const int64_t ms = std::chrono::ceil<milliseconds>(duration).count();
  if (duration < Duration{} || static_cast<uint64_t>(ms) > limits::kDelayMsMax) {
    return fail(ErrorCode::kInvalid, std::string(what) + ": expected 0 to " +
                                         std::to_string(limits::kDelayMsMax) + " ms (a year), found " +
                                         std::to_string(ms));
  }
  return static_cast<uint64_t>(ms);
}

Result<void> check_priority(uint8_t priority) {
  if (priority <= kPriorityMax) return {};
  return fail(ErrorCode::kInvalid, "priority: expected 0 to " + std::to_string(kPriorityMax) + ", found " +
                                       std::to_string(priority));
}

class LiveClient final : public Client {
 public:
  LiveClient(const ClientOptions& options, ClientPorts ports)
      : options_(options),
        ports_(std::move(ports)),
        outstanding_({options.name, options.accept_timeout, options.full_patience, options.on_full,
                      options.acknowledge}) {}

  // What the caller has seen, the broker should know.
  ~LiveClient() override {
    while (ports_.writable()) {
      const auto acknowledgement = outstanding_.next_acknowledgement();
      if (!acknowledgement) break;
      ports_.send(*acknowledgement);
    }
  }

  Result<JobId> submit(const JobRequest& request, const SubmitOptions& options) override {
    if (refused()) return fail(*problem_);
    const JobId id = options.id ? *options.id : make_job_id();
    if (outstanding_.contains(id)) return id;
    if (outstanding_.size() >= options_.outstanding_max) {
      return fail(ErrorCode::kFull, "expected at most " + std::to_string(options_.outstanding_max) +
                                        " outstanding jobs (outstanding_max), found as many: wait() first");
    }
    SubmitItem item;
    item.id = id;
    item.payload = encode(request);
    // Read back as the worker will: every rule about jobs is written down there, once.
    if (auto good = decode_job_request(item.payload); !good) return fail(std::move(good).error());
    item.route = options.route != 0 ? options.route : hash128(request.text).low64();
    item.cost = estimate_cost(request);
    if (options.attempts_max > limits::kAttemptsMax) {
      return fail(ErrorCode::kInvalid, "attempts_max: expected at most " +
                                           std::to_string(limits::kAttemptsMax) + ", found " +
                                           std::to_string(options.attempts_max));
    }
    item.attempts_max = options.attempts_max;
    item.urgency = options.urgency.value_or(options_.urgency);
    item.priority = options.priority.value_or(options_.priority);
    TANDEM_TRY(check_priority(item.priority));
    TANDEM_ASSIGN(item.delay_ms, whole_ms("delay", options.delay));
    TANDEM_ASSIGN(item.ttl_ms, whole_ms("ttl", options.ttl));
    outstanding_.add(std::move(item), clock_.now());
    if (++n_unsent_ >= kFlushAt) serve({});
    return id;
  }

  bool accepted(const JobId& id) const override { return outstanding_.accepted(id); }
  size_t n_outstanding() const override { return outstanding_.size(); }

  std::vector<ClientEvent> wait(Duration at_most) override {
    const TimePoint until = clock_.now() + at_most;
    if (outstanding_.has_events()) at_most = Duration{};
    do {
      serve(at_most);
      at_most = until - clock_.now();
    } while (!outstanding_.has_events() && at_most > Duration{});
    return outstanding_.take_events();
  }

  Result<void> cancel(const std::vector<JobId>& ids) override {
    outstanding_.cancel(ids);
    return {};
  }

  void acknowledge(const std::vector<JobId>& ids) override { outstanding_.acknowledge(ids); }

  Result<Message> ask(Message question, Duration at_most) override {
    question_request_ = outstanding_.take_request();
    std::visit(
        [&](auto& asked) {
          if constexpr (requires { asked.request; }) asked.request = question_request_;
        },
        question);
    const TimePoint until = clock_.now() + at_most;
    answer_.reset();
    while (!answer_ && clock_.now() < until) {
      question_ = question;
      const TimePoint again = std::min(until, clock_.now() + kAskAgain);
      while (!answer_ && !problem_ && clock_.now() < again) serve(again - clock_.now());
      if (problem_) break;
    }
    question_.reset();
    question_request_ = 0;
    if (!answer_ && problem_) return fail(*problem_);
    if (!answer_) {
      return fail(ErrorCode::kTimeout,
                  "no answer from a broker at " + options_.submit_endpoint + " within " +
                      std::to_string(std::chrono::duration_cast<milliseconds>(at_most).count()) + " ms");
    }
    if (auto* refused = std::get_if<Refused>(&*answer_)) return fail(std::move(refused->error));
    return std::move(*answer_);
  }

  bool broker_seen() const override {
    return heard_at_ && clock_.now() - *heard_at_ < 2 * options_.accept_timeout;
  }
  uint64_t n_fetched() const override { return outstanding_.n_fetched(); }
  std::optional<FullNotice> held_back() const override { return outstanding_.held_back(); }
  const std::string& name() const override { return options_.name; }

 private:
  // The broker refuses our key, or has none: see Client::open().
  bool refused() const { return problem_ && problem_->code == ErrorCode::kInvalid; }

  // One round: send what is due, as far as there is a broker to take it, and hear what has come.
  void serve(Duration at_most) {
    TimePoint now = clock_.now();
    if (!refused()) {
      problem_ = ports_.handshake_problem();
      if (refused()) outstanding_.end_all(*problem_);
    }
    bool writable = ports_.writable();
    if (was_writable_ && !writable) outstanding_.connection_lost(now);
    was_writable_ = writable;
    bool more = true;
    while (writable && more) {
      n_unsent_ = 0;
      if (const auto acknowledgement = outstanding_.next_acknowledgement()) {
        ports_.send(*acknowledgement);
      } else if (question_) {
        ports_.send(*std::exchange(question_, {}));
      } else if (const auto message = outstanding_.next(now)) {
        ports_.send(*message);
      } else if (wants_ping(now)) {
        asked_at_ = now;
        Fetch ping;  // of nothing: the cheapest question there is
        ping.request = outstanding_.take_request();
        ports_.send(ping);
      } else {
        more = false;
      }
      writable = ports_.writable();
    }
    const TimePoint wake = outstanding_.wake_at();
    const bool want_write = (question_ || wake <= now) && !writable;
    if (!want_write && wake != TimePoint::max())
      at_most = std::min(at_most, std::max(wake - now, Duration{}));
    // Looks in between whether the connection stands: one that breaks says nothing.
    std::vector<Message> messages = ports_.receive(std::min(at_most, kLookEvery), want_write);
    now = clock_.now();
    if (!messages.empty()) heard_at_ = now;
    for (Message& message : messages) hear(std::move(message), now);
  }

  // Jobs may take long, and a broker has nothing to say then: ask it, so that broker_seen() means something.
  bool wants_ping(TimePoint now) const {
    if (outstanding_.size() == 0) return false;
    return now - std::max(heard_at_.value_or(TimePoint{}), asked_at_) > options_.accept_timeout;
  }

  void hear(Message&& message, TimePoint now) {
    auto* refused = std::get_if<Refused>(&message);
    if (refused != nullptr && refused->request == 0) {
      if (const auto theirs = other_version(refused->error)) {
        refused->error = version_error(*theirs, options_.submit_endpoint);
        outstanding_.end_all(refused->error);
      }
      // It could not be read. What else is sent has been in the protocol from its beginning.
      if (question_request_ != 0 && refused->error.code == ErrorCode::kUnsupported) {
        answer_ = std::move(message);
        return;
      }
    }
    const uint64_t request = std::visit(
        [](const auto& heard) -> uint64_t {
          if constexpr (requires { heard.request; }) return heard.request;
          return 0;
        },
        message);
    if (request != 0 && request == question_request_) {
      answer_ = std::move(message);
    } else {
      outstanding_.hear(std::move(message), now);
    }
  }

  SystemClock clock_;
  const ClientOptions options_;
  ClientPorts ports_;
  Outstanding outstanding_;
  size_t n_unsent_ = 0;
  bool was_writable_ = false;
  std::optional<Error> problem_;     // with the keys, on either side
  std::optional<Message> question_;  // to be sent
  uint64_t question_request_ = 0;
  std::optional<Message> answer_;
  std::optional<TimePoint> heard_at_;
  TimePoint asked_at_{};  // the latest ping
};

}  // namespace

Result<std::unique_ptr<Client>> Client::open(const ClientOptions& given) {
  ClientOptions options = given;
  if (options.keys) {
    const std::string& own = options.keys->own.name;
    if (options.name.empty()) options.name = own;
    if (options.name != own && !options.looks_after) {
      return fail(ErrorCode::kInvalid, "client name: expected '" + own +
                                           "', the name of the key, or none, found '" +
                                           options.name.substr(0, 200) + "'");
    }
  }
  if (options.name.empty()) options.name = "client-" + make_job_id().to_string();
  TANDEM_TRY(check_name(options.name));
  TANDEM_TRY(check_priority(options.priority));
  TANDEM_ASSIGN(auto ports, ClientPorts::open(options.submit_endpoint, options.results_endpoint, options.name,
                                              options.keys));
  return std::make_unique<LiveClient>(options, std::move(ports));
}

}  // namespace tandem
