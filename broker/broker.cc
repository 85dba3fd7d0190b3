#include "broker/broker.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <variant>

#include "shared/base/limits.h"
#include "shared/base/printable.h"
#include "shared/net/wait.h"

namespace tandem::broker {
namespace {

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
      scribe_(std::make_unique<Scribe>(journal, clock)),
      speaker_(*dispatcher_, journal, ports, clock, log) {}

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
  const bool is_more_to_do = !unheard_.empty() || (speaker_.is_behind() && !scribe_->is_busy());
  const Duration time = is_more_to_do ? Duration(0) : std::max(Duration(0), wake_at_ - clock_->now());
  std::vector<Event> events = std::exchange(unheard_, {});
  std::vector<Event> heard = ports_->receive(time, wake, scribe_->done());
  std::move(heard.begin(), heard.end(), std::back_inserter(events));
  std::vector<Event> own_events = speaker_.take_events();
  std::move(own_events.begin(), own_events.end(), std::back_inserter(events));
  log_events(events);
  n_decided_from_ += events.size();
  TANDEM_TRY(measure_room_if_due());

  Plan plan = dispatcher_->turn(turn_start(), std::move(events));
  postpone(std::move(plan.unheard));
  wake_at_ = is_measure_old_ ? std::min(plan.wake_at, measure_at_) : plan.wake_at;
  if (!plan.facts.empty()) TANDEM_TRY(reckon_room(plan.facts));
  decided_.push_back(std::move(plan));
  TANDEM_TRY(write_and_speak());
  tell_state();
  return {};
}

TurnStart Broker::turn_start() const {
  return {.time = clock_->now(),
          .wall_ms = clock_->wall_ms(),
          .submit_room_bytes = submit_room_bytes_,
          .result_room_bytes = result_room_bytes_,
          .may_lend = may_lend_,
          .journal_bytes = usage_.bytes_used,
          .journal_bytes_max = usage_.bytes_max};
}

// One for each connection: who asks for more before it has that does not get it. What is not answered is
// asked again.
void Broker::postpone(std::vector<Event> questions) {
  std::unordered_set<std::string> peers;
  for (Event& question : questions) {
    if (peers.insert(question.from.peer).second) unheard_.push_back(std::move(question));
  }
  if (questions.size() > unheard_.size() && dropped_lines_.admits(clock_->now())) {
    log_.warn("more questions than there is time for, dropped count={}", questions.size() - unheard_.size());
  }
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
  TurnStart last = turn_start();
  last.may_lend = false;
  last.is_last = true;
  decided_.push_back(dispatcher_->turn(last, {}));
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
  for (const Plan& plan : written.plans) log_plan(plan);
  return speaker_.speak(std::move(written.plans));
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
