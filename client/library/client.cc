// Joins the two halves of a client: Outstanding decides, ClientPorts speaks and hears.

#include "client/include/tandem/client.h"

#include <algorithm>

#include "client/library/outstanding.h"
#include "client/library/ports.h"
#include "shared/base/hash.h"
#include "shared/base/limits.h"

namespace tandem {
namespace {

constexpr size_t kFlushAt = 256;  // queued items that submit() sends without waiting for wait()
constexpr Duration kLookEvery = milliseconds(50);

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

class LiveClient final : public Client {
 public:
  LiveClient(const ClientOptions& options, ClientPorts ports)
      : options_(options),
        ports_(std::move(ports)),
        outstanding_({options.name, options.accept_timeout, options.full_patience}) {}

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
    item.attempts_max = options.attempts_max;
    outstanding_.add(std::move(item));
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

  Result<StatusReply> status(uint32_t jobs_max, Duration at_most) override {
    Status status;
    status.request = outstanding_.take_request();
    status.jobs_max = std::min<uint32_t>(jobs_max, limits::kItemsPerMessageMax);
    TANDEM_ASSIGN(Message answer, ask(status, status.request, at_most));
    if (auto* reply = std::get_if<StatusReply>(&answer)) return std::move(*reply);
    return unexpected_answer(answer);
  }

  Result<std::vector<FetchedItem>> fetch(const std::vector<JobId>& ids, Duration at_most) override {
    Fetch fetch;
    fetch.request = outstanding_.take_request();
    fetch.ids = ids;
    TANDEM_ASSIGN(Message answer, ask(fetch, fetch.request, at_most));
    if (auto* fetched = std::get_if<Fetched>(&answer)) return std::move(fetched->items);
    return unexpected_answer(answer);
  }

  bool broker_seen() const override {
    return heard_at_ && clock_.now() - *heard_at_ < 2 * options_.accept_timeout;
  }

 private:
  // The broker refuses our key, or has none: see Client::open().
  bool refused() const { return problem_ && problem_->code == ErrorCode::kInvalid; }

  // One round: send what is due, as far as there is a broker to take it, and hear what has come.
  void serve(Duration at_most) {
    TimePoint now = clock_.now();
    if (!refused()) {
      problem_ = ports_.handshake_problem();
      if (refused()) outstanding_.give_up(*problem_);
    }
    bool writable = ports_.writable();
    if (was_writable_ && !writable) outstanding_.connection_lost(now);
    was_writable_ = writable;
    bool more = true;
    while (writable && more) {
      n_unsent_ = 0;
      if (question_) {
        ports_.send(*std::exchange(question_, {}));
      } else if (const auto message = outstanding_.next(now)) {
        ports_.send(*message);
      } else if (wants_ping(now)) {
        asked_at_ = now;
        Status ping;
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
    for (Message& message : messages) {
      if (!answers_question(message)) outstanding_.hear(std::move(message), now);
    }
  }

  // Jobs may take long, and a broker has nothing to say then: ask it, so that broker_seen() means something.
  bool wants_ping(TimePoint now) const {
    if (outstanding_.size() == 0) return false;
    return now - std::max(heard_at_.value_or(TimePoint{}), asked_at_) > options_.accept_timeout;
  }

  // Status and Fetch of the caller: asked again until the time is over, since a message may get lost.
  Result<Message> ask(const Message& question, uint64_t request, Duration at_most) {
    const TimePoint until = clock_.now() + at_most;
    question_request_ = request;
    answer_.reset();
    while (!answer_ && clock_.now() < until) {
      question_ = question;
      const TimePoint again = std::min(until, clock_.now() + std::chrono::seconds(1));
      while (!answer_ && !problem_ && clock_.now() < again) serve(again - clock_.now());
      if (problem_) break;
    }
    question_.reset();
    question_request_ = 0;
    if (answer_) return std::move(*answer_);
    if (problem_) return fail(*problem_);
    return fail(ErrorCode::kTimeout,
                "no answer from a broker at " + options_.submit_endpoint + " within " +
                    std::to_string(std::chrono::duration_cast<milliseconds>(at_most).count()) + " ms");
  }

  bool answers_question(Message& message) {
    const uint64_t request = std::visit(
        [](const auto& heard) -> uint64_t {
          if constexpr (requires { heard.request; }) return heard.request;
          return 0;
        },
        message);
    if (request == 0 || request != question_request_) return false;
    answer_ = std::move(message);
    return true;
  }

  static tl::unexpected<Error> unexpected_answer(const Message& answer) {
    if (const auto* refused = std::get_if<Refused>(&answer)) return fail(refused->error);
    return fail(ErrorCode::kCorrupt, "the broker's answer is of another kind than the question");
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
    if (options.name != own) {
      return fail(ErrorCode::kInvalid, "client name: expected '" + own +
                                           "', the name of the key, or none, found '" +
                                           options.name.substr(0, 200) + "'");
    }
  }
  if (options.name.empty()) options.name = "client-" + make_job_id().to_string();
  TANDEM_TRY(check_name(options.name));
  TANDEM_ASSIGN(auto ports, ClientPorts::open(options.submit_endpoint, options.results_endpoint, options.name,
                                              options.keys));
  return std::make_unique<LiveClient>(options, std::move(ports));
}

}  // namespace tandem
