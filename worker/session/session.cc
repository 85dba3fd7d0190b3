#include "worker/session/session.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "shared/net/wait.h"

namespace tandem {

Result<Session> Session::open(NetContext& net, SessionOptions options, const Clock& clock,
                              Inbox<FromFrontend>& inbox, Wake& wake, Inbox<ToFrontend>& frontend) {
  // To a broker that is there, or not at all: what waited in a socket for a broker's return would come late
  // and out of date. Waiting is done here, where it is known what still counts.
  SocketOptions socket;
  socket.connected_only = true;
  socket.client_keys = options.keys;
  TANDEM_ASSIGN(auto work, DealerSocket::connect(net, options.work_endpoint, socket));
  TANDEM_ASSIGN(auto results, PushSocket::connect(net, options.results_endpoint, socket));
  return Session(std::move(options), clock, inbox, wake, frontend, std::move(work), std::move(results));
}

Session::Session(SessionOptions options, const Clock& clock, Inbox<FromFrontend>& inbox, Wake& wake,
                 Inbox<ToFrontend>& frontend, DealerSocket work, PushSocket results)
    : options_(std::move(options)),
      clock_(clock),
      inbox_(inbox),
      wake_(wake),
      frontend_(frontend),
      work_(std::move(work)),
      results_(std::move(results)),
      dialogue_(options_.hello, options_.patience),
      outbox_(options_.hello.worker, options_.parts_max) {}

Result<size_t> Session::run(Wake& stop, const std::function<bool()>& stop_requested,
                            const std::function<void()>& on_welcome) {
  bool was_welcomed = false;
  std::optional<TimePoint> drain_until;

  while (true) {
    TANDEM_TRY(look_at_keys());
    hear_broker();
    hear_frontend();
    send_results();
    look_for_broker();
    for (const Message& message : dialogue_.due(clock_.now())) speak(message);

    if (dialogue_.welcomed() && !was_welcomed) {
      was_welcomed = true;
      on_welcome();
    }
    if (stop_requested() && !drain_until) {
      drain_until = clock_.now() + options_.drain;
      log_.info("stopping, finishing what is held jobs={}", dialogue_.n_held());
      speak(dialogue_.drain());
    }
    if (drain_until && ((dialogue_.n_held() == 0 && outbox_.empty()) || clock_.now() >= *drain_until)) break;

    wait(stop, drain_until ? std::min(dialogue_.wake_at(), *drain_until) : dialogue_.wake_at());
  }
  if (dialogue_.welcomed()) speak(Goodbye{});
  if (outbox_.n_parts_dropped() > 0) {
    log_.warn("parts of answers not published, the results socket was full parts={}",
              outbox_.n_parts_dropped());
  }
  return dialogue_.n_held();
}

void Session::hear_broker() {
  while (auto received = work_.receive()) {
    if (!*received) {
      log_.warn("message from the broker unreadable: {}", received->error().text);
      continue;
    }
    const bool knew_us = dialogue_.welcomed();
    BrokerDialogue::Heard heard = dialogue_.hear(std::move(**received), clock_.now());
    for (LeasedJob& job : heard.jobs) frontend_.push(std::move(job));
    for (const JobId& id : heard.cancelled) frontend_.push(CancelledJob{id});
    if (!heard.complaint.empty()) log_.warn("{}", heard.complaint);
    if (!knew_us && dialogue_.welcomed()) {
      log_.info("welcomed by the broker at {} held={}", work_.endpoint(), dialogue_.n_held());
    }
  }
}

void Session::hear_frontend() {
  for (FromFrontend& item : inbox_.take()) {
    // What was called off while it was finished is nobody's any more.
    const bool wanted = std::visit([this](const auto& one) { return dialogue_.wants(one); }, item);
    if (wanted) outbox_.add(std::move(item));
  }
}

void Session::speak(const Message& message) {
  if (work_.send(message)) return;
  if (!broker_away_) log_.info("waiting for the broker at {}", work_.endpoint());
  broker_away_ = true;
  dialogue_.broker_is_away(clock_.now());
}

// As soon as there is a connection there is room in it, and Hello goes out at once.
void Session::look_for_broker() {
  if (!broker_away_ || !tandem::wait({Waitable::room(work_)}, Duration::zero())) return;
  broker_away_ = false;
  dialogue_.broker_is_back(clock_.now());
}

Result<void> Session::look_at_keys() {
  const auto problem = work_.handshake_problem();
  if (!problem) return {};
  if (problem->code == ErrorCode::kInvalid) return fail(*problem);
  if (problem->text != problem_) log_.warn("{}", problem->text);
  problem_ = problem->text;
  return {};
}

void Session::send_results() {
  // Without room (full, or nobody there) the message is not even built; wait() tells when there is.
  while (!outbox_.empty() && tandem::wait({Waitable::room(results_)}, Duration::zero())) {
    if (!results_.send(outbox_.next())) return;
    for (const ResultItem& result : outbox_.sent()) dialogue_.handed_over(result);
  }
}

void Session::wait(Wake& stop, TimePoint until) {
  std::vector<Waitable> what{work_, wake_, stop};
  if (broker_away_) what.push_back(Waitable::room(work_));
  if (!outbox_.empty()) what.push_back(Waitable::room(results_));
  const Duration time = std::max(until - clock_.now(), Duration::zero());
  tandem::wait(what, time);
}

}  // namespace tandem
