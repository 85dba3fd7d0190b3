#include "worker/session/session.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "shared/base/service_manager.h"
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
    if (options_.desk != nullptr && options_.desk->is_asked()) give_figures();
    TANDEM_TRY(look_at_keys());
    TANDEM_TRY(hear_broker());
    hear_frontend();
    send_results();
    look_for_broker();
    look_for_silence();
    look_for_stuck_results();
    for (const JobId& id : dialogue_.overdue(clock_.now())) frontend_.push(OverdueJob{id});
    for (const Message& message : dialogue_.due(clock_.now())) speak(message);

    if (dialogue_.welcomed() && !was_welcomed) {
      was_welcomed = true;
      on_welcome();
    }
    if (stop_requested() && !drain_until) {
      drain_until = clock_.now() + options_.drain;
      log_.info("stopping, finishing what is begun of what is held jobs={}", dialogue_.n_held());
      tell_service_manager("STOPPING=1");
      speak(dialogue_.drain());
      for (const JobId& id : dialogue_.held_ids()) frontend_.push(RecalledJob{id});
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

Result<void> Session::hear_broker() {
  while (auto received = work_.receive()) {
    if (!*received) {
      log_.warn("message from the broker unreadable: {}", received->error().text);
      continue;
    }
    const bool knew_us = dialogue_.welcomed();
    BrokerDialogue::Heard heard = dialogue_.hear(std::move(**received), clock_.now());
    figures_.leased += heard.jobs.size();
    figures_.cancelled += heard.cancelled.size();
    for (LeasedJob& job : heard.jobs) frontend_.push(std::move(job));
    for (const JobId& id : heard.cancelled) frontend_.push(CancelledJob{id});
    for (const JobId& id : heard.recalled) frontend_.push(RecalledJob{id});
    if (heard.stranger) {
      return fail(ErrorCode::kUnsupported, "the broker at " + work_.endpoint() +
                                               " does not understand protocol version " +
                                               std::to_string(kProtocolVersion) +
                                               ", which this worker speaks: " + heard.stranger->text);
    }
    if (!heard.complaint.empty()) log_.warn("{}", heard.complaint);
    if (!knew_us && dialogue_.welcomed()) {
      log_.info("welcomed by the broker at {} held={}", work_.endpoint(), dialogue_.n_held());
    }
  }
  return {};
}

void Session::hear_frontend() {
  for (FromFrontend& item : inbox_.take()) {
    std::visit([this](auto& one) { hear(std::move(one)); }, item);
  }
}

// What was called off while it was finished is nobody's any more.
void Session::hear(PartialItem part) {
  if (dialogue_.wants(part)) outbox_.add(std::move(part));
}

void Session::hear(ResultItem result) {
  if (!dialogue_.wants(result)) return;
  const bool is_error = !result.error.text.empty();
  ++(!is_error                                  ? figures_.done
     : result.error.code == ErrorCode::kExpired ? figures_.expired
                                                : figures_.failed);
  outbox_.add(std::move(result));
}

void Session::hear(const ReturnedJob& job) {
  const size_t n_held = dialogue_.n_held();
  dialogue_.give_back(job);
  figures_.returned += n_held - dialogue_.n_held();
}

void Session::give_figures() {
  figures_.n_held = dialogue_.n_held();
  figures_.credit_max = dialogue_.is_draining() ? 0 : options_.hello.credit_max;
  figures_.is_welcome = dialogue_.welcomed();
  figures_.parts_dropped = outbox_.n_parts_dropped();
  options_.desk->give(figures_);
}

// The broker is there and takes no results (another address, a firewall): all that is held stays with us.
// That is for people to see. Both are said once for each time.
void Session::look_for_stuck_results() {
  const TimePoint now = clock_.now();
  if (outbox_.n_results() == 0 || !dialogue_.welcomed()) {
    results_moved_ = now;
    results_stuck_ = false;
  } else if (!results_stuck_ && now - results_moved_ >= BrokerDialogue::kSilentLeases * dialogue_.lease()) {
    results_stuck_ = true;
    log_.warn("results are not taken at {} for {} leases, although the broker is there results={}",
              results_.endpoint(), BrokerDialogue::kSilentLeases, outbox_.n_results());
  }
}

void Session::look_for_silence() {
  const bool is_deaf = dialogue_.is_deaf(clock_.now());
  if (is_deaf && !broker_silent_) {
    log_.warn("nothing heard from the broker at {} for {} leases, although it was asked whether it is there",
              work_.endpoint(), BrokerDialogue::kSilentLeases + 1);
  }
  broker_silent_ = is_deaf;
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
    results_moved_ = clock_.now();
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
