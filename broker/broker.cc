#include "broker/broker.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "shared/base/limits.h"
#include "shared/base/printable.h"
#include "shared/net/wait.h"

namespace tandem::broker {
namespace {

// Payloads in one message to a client, at most; the size of the largest one on top.
constexpr size_t kMessagePayloadsMax = 16u << 20;

// As much as one turn hears unless the settings say otherwise: more is not decided while the disk works, but
// waits in the sockets.
constexpr size_t kAheadMessagesMax = 1'000;
constexpr uint64_t kAheadBytesMax = 32u << 20;

// So few facts are written without waking the scribe.
constexpr size_t kFewFacts = 128;

// The journal's free space is measured so often; in between it is reckoned.
constexpr milliseconds kMeasureEvery{200};

// A job id that is turned into text only if the log line is wanted.
struct Shown {
  const JobId& id;
};

}  // namespace
}  // namespace tandem::broker

template <>
struct fmt::formatter<tandem::broker::Shown> : fmt::formatter<std::string> {
  auto format(const tandem::broker::Shown& shown, fmt::format_context& context) const {
    return fmt::formatter<std::string>::format(shown.id.to_string(), context);
  }
};

namespace tandem::broker {

Broker::Broker(std::unique_ptr<Dispatcher> dispatcher, const TurnConfig& config, const Clock& clock,
               Journal& journal, Ports& ports, const Log& log)
    : dispatcher_(std::move(dispatcher)),
      config_(config),
      clock_(&clock),
      journal_(&journal),
      ports_(&ports),
      log_(log),
      wake_at_(clock.now()),
      scribe_(std::make_unique<Scribe>(journal, clock)) {}

Result<Broker> Broker::recover(const DispatcherConfig& dispatcher_config, const TurnConfig& config,
                               const Clock& clock, Journal& journal, Ports& ports, const Log& log) {
  DispatcherConfig seeded = dispatcher_config;
  seeded.hash_seed = journal.hash_seed();
  auto dispatcher = std::make_unique<Dispatcher>(seeded);
  TANDEM_TRY(journal.replay(replay_into(*dispatcher)));
  dispatcher->start(clock.now(), clock.wall_ms());
  log.info("journal replayed ready={} finished_kept={}", dispatcher->n_ready(),
           dispatcher->n_finished_kept());

  Broker broker(std::move(dispatcher), config, clock, journal, ports, log);
  TANDEM_TRY(broker.measure_room());
  return broker;
}

Result<void> Broker::run_turn(Wake& wake) {
  if (is_far_ahead()) {
    wait({scribe_->done(), wake}, Duration::max());
    return write_and_speak();
  }
  const Duration time = std::max(Duration(0), wake_at_ - clock_->now());
  std::vector<Event> events =
      ports_->receive(own_events_.empty() ? time : Duration(0), wake, scribe_->done());
  std::move(own_events_.begin(), own_events_.end(), std::back_inserter(events));
  own_events_.clear();
  log_events(events);
  n_decided_from_ += events.size();
  TANDEM_TRY(measure_room_if_due());

  const TurnStart start{clock_->now(), clock_->wall_ms(), submit_room_bytes_, result_room_bytes_,
                        may_lend_,     usage_.bytes_used, usage_.bytes_max};
  Plan plan = dispatcher_->turn(start, std::move(events));
  wake_at_ = is_measure_old_ ? std::min(plan.wake_at, measure_at_) : plan.wake_at;
  if (!plan.facts.empty()) TANDEM_TRY(reckon_room(plan.facts));
  decided_.push_back(std::move(plan));
  TANDEM_TRY(write_and_speak());
  tell_state();
  return {};
}

bool Broker::is_far_ahead() const {
  return scribe_->is_busy() && (n_decided_from_ >= kAheadMessagesMax || decided_bytes_ >= kAheadBytesMax);
}

// The disk first: it has its next work before the outcome of the last is told.
Result<void> Broker::write_and_speak() {
  std::optional<Written> written = scribe_->take();
  if (scribe_->is_busy()) return {};
  size_t n_facts = 0;
  for (const Plan& plan : decided_) n_facts += plan.facts.size();
  std::vector<Plan> decided = std::exchange(decided_, {});
  n_decided_from_ = 0;
  decided_bytes_ = 0;
  const bool is_little = n_facts <= kFewFacts && !written;
  if (n_facts > 0 && !is_little) scribe_->begin(std::exchange(decided, {}));
  if (written) TANDEM_TRY(speak(std::move(*written)));
  if (decided.empty()) return {};
  if (n_facts > 0) return speak(scribe_->write(std::move(decided)));
  return speak(Written{std::move(decided), {}});
}

Result<void> Broker::settle() {
  while (scribe_->is_busy() || !decided_.empty()) {
    if (scribe_->is_busy()) TANDEM_TRY(speak(scribe_->wait()));
    TANDEM_TRY(write_and_speak());
  }
  return {};
}

Result<void> Broker::speak(Written written) {
  TANDEM_TRY(std::move(written.outcome));
  size_t n_facts = 0;
  for (const Plan& plan : written.plans) {
    n_facts += plan.facts.size();
    unwritten_bytes_ -= journal_bytes(plan.facts);
  }
  if (n_facts > 0) {
    is_measure_old_ = true;
    wake_at_ = std::min(wake_at_, measure_at_);
    commits_.us.add(static_cast<uint64_t>(to_us(written.took)));
    commits_.facts.add(n_facts);
  }
  for (Plan& plan : written.plans) {
    log_plan(plan);
    TANDEM_TRY(speak(std::move(plan)));
  }
  journal_->end_reads();
  return {};
}

// Measuring walks the list of free pages: not for every turn.
Result<void> Broker::reckon_room(const FactBatch& facts) {
  const uint64_t n_bytes = journal_bytes(facts);
  decided_bytes_ += n_bytes;
  unwritten_bytes_ += n_bytes;
  submit_room_bytes_ -= std::min(submit_room_bytes_, n_bytes);
  result_room_bytes_ -= std::min(result_room_bytes_, n_bytes);
  return submit_room_bytes_ > 0 && result_room_bytes_ > 0 ? Result<void>() : measure_room();
}

Result<void> Broker::measure_room_if_due() {
  return is_measure_old_ && clock_->now() >= measure_at_ ? measure_room() : Result<void>();
}

// Every job inside has room for an outcome without a result; what is above the watermark is for results. When
// half of it is gone no more jobs are lent, and the rest takes what the workers are at.
Result<void> Broker::measure_room() {
  measure_at_ = clock_->now() + kMeasureEvery;
  is_measure_old_ = false;
  TANDEM_ASSIGN(usage_, journal_->usage());
  const auto watermark = static_cast<uint64_t>(config_.watermark * static_cast<double>(usage_.bytes_max));
  const uint64_t taken =
      usage_.bytes_used + unwritten_bytes_ + dispatcher_->n_unfinished() * journal_bytes(0);
  submit_room_bytes_ = watermark - std::min(watermark, taken);
  result_room_bytes_ = usage_.bytes_max - std::min(usage_.bytes_max, taken);
  may_lend_ = result_room_bytes_ > (usage_.bytes_max - watermark) / 2;
  const bool is_full = submit_room_bytes_ == 0;
  if (is_full && !was_full_) {
    log_.warn("journal full, new jobs are refused used_bytes={} max_bytes={}", usage_.bytes_used,
              usage_.bytes_max);
  }
  if (!may_lend_ && could_lend_) {
    log_.warn(
        "journal full, no jobs are lent until outcomes are acknowledged or forgotten, or journal.bytes_max "
        "is raised "
        "used_bytes={} max_bytes={} results_kept={}",
        usage_.bytes_used, usage_.bytes_max, dispatcher_->n_finished_kept());
  }
  if (may_lend_ && !could_lend_) log_.info("journal has room again, jobs are lent");
  was_full_ = is_full;
  could_lend_ = may_lend_;
  return {};
}

// Workers first, so that they begin while the others are told; then outcomes, which somebody waits for.
Result<void> Broker::speak(Plan plan) {
  TANDEM_TRY(speak_at(Door::kWork, plan));
  for (auto& [client, partial] : plan.partials) ports_->publish(client, std::move(partial));
  publish_outcomes(plan);
  return speak_at(Door::kSubmit, plan);
}

Result<void> Broker::speak_at(Door door, Plan& plan) {
  for (Speech& speech : plan.speeches) {
    if (speech.to.door != door) continue;
    if (auto* job = std::get_if<Job>(&speech.message)) {
      TANDEM_TRY(add_payloads(*job, speech.bodies, plan.facts));
      if (job->items.empty()) continue;
    } else if (auto* fetched = std::get_if<Fetched>(&speech.message)) {
      TANDEM_TRY(add_payloads(*fetched, speech.bodies));
    } else if (auto* inspected = std::get_if<Inspected>(&speech.message);
               inspected && !speech.bodies.empty()) {
      TANDEM_TRY(add_payloads(*inspected, speech.bodies));
    }
    ports_->send(speech.to, speech.message);
  }
  return {};
}

// What was accepted in the same turn is still in memory. A job whose payload cannot be read any more is not
// lent; the next turn hears that it failed. One that was ended and forgotten while this was written is lent
// no more.
Result<void> Broker::add_payloads(Job& job, const std::vector<Sequence>& bodies, const FactBatch& facts) {
  std::vector<JobItem> readable;
  readable.reserve(job.items.size());
  for (size_t i = 0; i < job.items.size(); ++i) {
    JobItem& item = job.items[i];
    if (const AcceptedFact* fact = facts.find_accepted(bodies[i])) {
      item.payload = fact->payload;
      readable.push_back(std::move(item));
      continue;
    }
    auto body = journal_->read(bodies[i]);
    if (body) {
      item.payload = std::move(body->payload);
      readable.push_back(std::move(item));
    } else if (body.error().code == ErrorCode::kCorrupt) {
      log_.error("job damaged in the journal job={} error={}", item.id.to_string(), body.error().text);
      ResultMessage failed{"", {{item.id, item.attempt, std::move(body).error(), false, {}}}};
      own_events_.push_back({{Door::kResults, {}}, std::move(failed)});
    } else if (body.error().code != ErrorCode::kNotFound || dispatcher_->is_unfinished(item.id, bodies[i])) {
      return fail(std::move(body).error());
    }
  }
  job.items = std::move(readable);
  return {};
}

// What does not fit into one message is left out of the answer; the client asks for it again.
Result<void> Broker::add_payloads(Fetched& fetched, const std::vector<Sequence>& bodies) {
  std::vector<FetchedItem> fitting;
  size_t n_bytes = 0;
  for (size_t i = 0; i < fetched.items.size(); ++i) {
    FetchedItem& item = fetched.items[i];
    if (bodies[i] != 0) {
      if (n_bytes >= kMessagePayloadsMax) continue;
      auto body = journal_->read(bodies[i]);
      if (body) {
        n_bytes += body->payload.size();
        item.payload = std::move(body->payload);
        item.error = std::move(body->error);
      } else if (body.error().code == ErrorCode::kNotFound) {
        continue;  // forgotten or put back meanwhile: whoever asks again is told
      } else if (body.error().code == ErrorCode::kCorrupt) {
        item.state = JobState::kFailed;
        item.error = std::move(body).error();
      } else {
        return fail(std::move(body).error());
      }
    }
    fitting.push_back(std::move(item));
  }
  fetched.items = std::move(fitting);
  return {};
}

Result<void> Broker::add_payloads(Inspected& inspected, const std::vector<Sequence>& bodies) {
  for (const Sequence sequence : bodies) {
    if (sequence == 0) continue;
    auto body = journal_->read(sequence);
    if (!body && body.error().code != ErrorCode::kCorrupt && body.error().code != ErrorCode::kNotFound) {
      return fail(std::move(body).error());
    }
    if (!body) {
      inspected.error = std::move(body).error();
    } else if (sequence == bodies.front()) {
      inspected.asked = std::move(body->payload);
    } else {
      inspected.answered = std::move(body->payload);
      inspected.error = std::move(body->error);
    }
  }
  return {};
}

void Broker::publish_outcomes(Plan& plan) {
  for (const auto& [client, worker, places] : plan.outcomes) {
    ResultMessage message{worker, {}};
    message.items.reserve(std::min(places.size(), limits::kItemsPerMessageMax));
    size_t n_bytes = 0;
    for (const size_t place : places) {
      FinishedFact& fact = plan.facts.finished[place];
      n_bytes += fact.payload.size();
      message.items.push_back({fact.id, fact.attempt, std::move(fact.error), false, std::move(fact.payload)});
      if (n_bytes >= kMessagePayloadsMax || message.items.size() == limits::kItemsPerMessageMax) {
        ports_->publish(client, message);
        message.items.clear();
        n_bytes = 0;
      }
    }
    if (!message.items.empty()) ports_->publish(client, message);
  }
}

BrokerFigures Broker::figures() const {
  BrokerFigures figures = figures_of(*dispatcher_, clock_->wall_ms());
  figures.ports = ports_->counters();
  figures.connections_refused = ports_->connections_refused();
  figures.commits = commits_;
  figures.journal = usage_;
  return figures;
}

void Broker::tell_state() {
  const std::optional<MinuteFigures> news = minute_.look(dispatcher_->counters(), clock_->now());
  if (minute_.next()) wake_at_ = std::min(wake_at_, *minute_.next());
  if (!news) return;
  const double used = static_cast<double>(usage_.bytes_used) / static_cast<double>(usage_.bytes_max);
  state_ = fmt::format("ready={} delayed={} leased={} dead={} workers={} journal={:.1f}%",
                       dispatcher_->n_ready(), dispatcher_->n_delayed(), dispatcher_->n_leased(),
                       dispatcher_->n_dead_kept(), dispatcher_->workers().size(), 100 * used);
  log_.info("queue accepted={} finished={} refused={} redelivered={} oldest_ms={} {}", news->accepted,
            news->finished, news->refused, news->redelivered, dispatcher_->oldest_ready_ms(clock_->wall_ms()),
            state_);
}

void Broker::log_events(const std::vector<Event>& events) {
  const WorkerTable& workers = dispatcher_->workers();
  const TimePoint now = clock_->now();
  if (const size_t n = worker_lines_.take_left_out(now))
    log_.warn("workers came and went, not logged count={}", n);
  for (const Event& event : events) {
    const auto* const hello = std::get_if<Hello>(&event.message);
    if (hello == nullptr) continue;
    // One that has nothing to do says it again and again, to hear that we are there.
    const auto known = workers.all().find(hello->worker);
    if (known != workers.all().end() && workers[known->second].peer == event.from.peer) continue;
    if (!worker_lines_.admits(now)) continue;
    log_.info("worker said hello worker={} host={} credit={} held={}", printable(hello->worker),
              printable(hello->host), hello->credit_max, hello->held.size());
  }
}

void Broker::log_plan(const Plan& plan) {
  for (const Parting& parting : plan.partings) {
    if (parting.is_silent) {
      log_.warn("worker silent worker={}", printable(parting.worker));
    } else if (worker_lines_.admits(clock_->now())) {
      log_.info("worker left worker={}", printable(parting.worker));
    }
  }
  const auto is_dead = [](const FinishedFact& fact) { return fact.state == JobState::kDead; };
  const auto& finished = plan.facts.finished;
  if (const auto dead = std::find_if(finished.begin(), finished.end(), is_dead); dead != finished.end()) {
    log_.warn("jobs died n={} first={} error={}", std::count_if(dead, finished.end(), is_dead),
              Shown{dead->id}, dead->error.text);
  }
  if (!log_.tells_debug()) return;
  for (const AcceptedFact& fact : plan.facts.accepted) {
    log_.debug("job accepted job={} client={} bytes={}", Shown{fact.id}, printable(fact.client),
               fact.payload.size());
  }
  for (const FinishedFact& fact : plan.facts.finished) {
    log_.debug("job finished job={} state={} attempt={} worker={}", Shown{fact.id}, to_string(fact.state),
               fact.attempt, printable(fact.worker));
  }
}

}  // namespace tandem::broker
