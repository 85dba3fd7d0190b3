// Any valid messages, in any order, at any doors, at any times, with restarts in between: the dispatcher
// decides, and never comes to a state that its asserts rule out. What it writes down is always a journal that
// can be replayed, in which a job has one outcome at most; what it says is about facts that are there.
//
// An input is a play: each byte asks for what comes next, and is followed by the bytes that the message is
// made of.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker/dispatcher.h"
#include "tests/broker/memory_journal.h"

namespace tandem::broker {
namespace {

using namespace std::chrono_literals;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "dispatcher_fuzz: expected that %s\n", what);
  std::abort();
}

// Bytes as they are asked for; zeros when there are no more.
class Script {
 public:
  Script(const uint8_t* data, size_t n_bytes) : next_(data), end_(data + n_bytes) {}
  bool is_over() const { return next_ == end_; }
  uint8_t byte() { return is_over() ? 0 : *next_++; }
  uint32_t below(uint32_t n) { return byte() % n; }
  bool maybe() { return below(2) == 0; }

 private:
  const uint8_t* next_;
  const uint8_t* end_;
};

class Play {
 public:
  explicit Play(Script script) : script_(script) { start(); }

  void run() {
    for (int n_turns = 0; !script_.is_over() && n_turns < 400; ++n_turns) {
      if (script_.below(16) == 0) start();
      std::vector<Event> events;
      for (uint32_t n = 1 + script_.below(4); n > 0; --n) events.push_back(event());
      turn(std::move(events));
      constexpr milliseconds kPauses[] = {0ms, 1ms, 20ms, 300ms, 2s, 11s, 70s, 1h};
      clock_.advance(kPauses[script_.below(8)]);
    }
    // In the end, without anybody: time alone must not break it, and every wish to be woken comes true.
    for (int i = 0; i < 20; ++i) {
      turn({});
      clock_.advance(30s);
    }
  }

 private:
  // A broker that was killed: everything but the journal is gone.
  void start() {
    DispatcherConfig config;
    config.lease = 10s;
    config.heartbeat = 2s;
    config.retention = 60s;
    config.backoff = 50ms;
    config.hash_seed = journal_.hash_seed();
    config.limits.jobs_max = 10;
    config.limits.bytes_max = 200;
    config.limits.kept_bytes_max = 3'000;
    dispatcher_ = std::make_unique<Dispatcher>(config);
    check(journal_.replay(replay_into(*dispatcher_)).has_value(), "a journal can be replayed");
    dispatcher_->start(clock_.now(), clock_.wall_ms());
    // Numbers of facts that were forgotten may be used again.
    last_sequence_ = journal_.facts().empty() ? 0 : journal_.facts().rbegin()->first;
  }

  void turn(std::vector<Event> events) {
    const uint64_t room = script_.below(8) == 0 ? script_.below(100) : 1'000'000;
    const uint64_t result_room = script_.below(8) == 0 ? script_.below(1'000) : 1'000'000;
    const bool may_lend = script_.below(8) != 0;
    const Plan plan =
        dispatcher_->turn({clock_.now(), clock_.wall_ms(), room, result_room, may_lend}, std::move(events));
    look_at(plan.facts);
    check(journal_.commit(plan.facts).has_value(), "a journal in memory takes everything");
    for (const Speech& speech : plan.speeches) {
      check(!speech.to.peer.empty(), "what is said is said to somebody");
      for (const Sequence body : speech.bodies) {
        const auto& gone = plan.facts.forgotten;
        check(body == 0 || journal_.facts().contains(body) ||
                  std::find(gone.begin(), gone.end(), body) != gone.end(),
              "what is said is about facts that are there");
      }
    }
    for (const OutcomeGroup& group : plan.outcomes) {
      for (const size_t place : group.places)
        check(place < plan.facts.finished.size(), "outcomes are those of the turn");
    }
  }

  void look_at(const FactBatch& batch) {
    for (const Sequence sequence : batch.forgotten) {
      check(journal_.facts().contains(sequence), "what is forgotten was known");
      outcomes_.erase(sequence);
    }
    std::vector<Sequence> sequences;
    for (const AcceptedFact& fact : batch.accepted) sequences.push_back(fact.sequence);
    for (const FinishedFact& fact : batch.finished) {
      sequences.push_back(fact.sequence);
      const bool is_known =
          journal_.facts().contains(fact.accepted) || batch.find_accepted(fact.accepted) != nullptr;
      check(is_known, "what ends was accepted");
      for (const auto& [finished, accepted] : outcomes_)
        check(accepted != fact.accepted, "a job has one outcome");
      outcomes_[fact.sequence] = fact.accepted;
    }
    std::sort(sequences.begin(), sequences.end());
    for (const Sequence sequence : sequences) {
      check(sequence > last_sequence_, "sequences grow");
      last_sequence_ = sequence;
    }
  }

  JobId id() { return job_id_from_key(std::to_string(script_.below(12))); }
  std::vector<JobId> ids() {
    std::vector<JobId> some;
    for (uint32_t n = script_.below(5); n > 0; --n) some.push_back(id());
    return some;
  }
  std::vector<HeldLease> held() {
    std::vector<HeldLease> some;
    for (const JobId& one : ids()) some.push_back({one, 1 + script_.below(4)});
    return some;
  }
  std::string client() { return std::string("client ") + static_cast<char>('a' + script_.below(3)); }
  std::string worker() { return std::string("worker ") + static_cast<char>('a' + script_.below(3)); }
  std::string payload() {
    return std::string(1 + 8 * script_.below(4), static_cast<char>('p' + script_.below(2)));
  }
  std::string client_or_none() { return script_.maybe() ? client() : std::string(); }

  SubmitItem submit_item() {
    SubmitItem item;
    item.id = id();
    item.route = script_.below(5);
    item.cost = script_.maybe() ? 1 : script_.byte() * 100u;
    item.attempts_max = script_.below(4);
    item.payload = payload();
    item.urgency = script_.below(3) == 0 ? Urgency::kInteractive : Urgency::kBulk;
    item.priority = static_cast<uint8_t>(script_.below(kPriorityMax + 1));
    item.delay_ms = script_.below(4) == 0 ? script_.byte() * 10u : 0;
    item.ttl_ms = script_.below(4) == 0 ? script_.byte() * 20u : 0;
    return item;
  }
  Submit submit() {
    Submit message{1, client(), {}};
    for (uint32_t n = script_.below(4); n > 0; --n) message.items.push_back(submit_item());
    return message;
  }
  Hello hello() {
    Hello message;
    message.worker = worker();
    message.host = script_.maybe() ? "one" : "two";
    message.credit_max = script_.below(6);
    message.held = held();
    message.cost_max = script_.maybe() ? 0 : script_.byte() * 50u;
    message.interactive_extra = script_.below(3);
    return message;
  }
  ResultMessage result() {
    ResultMessage message{worker(), {}};
    for (const HeldLease& lease : held()) {
      ResultItem item{lease.id, lease.attempt, {}, false, {}};
      if (script_.below(3) == 0) {
        item.error = {ErrorCode::kInternal, "did not work"};
        item.retry = script_.maybe();
      } else {
        item.payload = payload();
      }
      message.items.push_back(std::move(item));
    }
    return message;
  }
  Partial partial() {
    Partial message{worker(), {}};
    for (const HeldLease& lease : held()) message.items.push_back({lease.id, lease.attempt, payload()});
    return message;
  }

  Message message(uint32_t kind) {
    switch (kind) {
      case 0:
      case 1:
      case 2:
        return submit();
      case 3:
        return Fetch{2, ids()};
      case 4:
        return Cancel{3, ids()};
      case 5:
        return Collect{4, client(), script_.below(4)};
      case 6:
        return Acknowledge{client(), ids()};
      case 7:
        return Revive{5, ids()};
      case 8:
        return Forget{6, ids()};
      case 9:
        return List{7, script_.maybe(), client_or_none(), script_.byte(), script_.below(5)};
      case 10:
        return Inspect{8, id()};
      case 11:
        return Drain{9, script_.maybe() ? worker() : std::string("one"), script_.maybe()};
      case 12:
        return Status{10};
      case 13:
      case 14:
        return hello();
      case 15:
        return Ready{script_.below(6), script_.byte() * 20u, script_.below(3)};
      case 16:
      case 17:
        return Heartbeat{held()};
      case 18:
        return Goodbye{};
      case 19:
        return Returned{held()};
      case 20:
      case 21:
      case 22:
        return result();
      case 23:
        return partial();
      default:
        return Welcome{1, 1};  // nobody says this to a broker
    }
  }

  Event event() {
    const uint32_t kind = script_.below(25);
    Event event{{}, message(kind), {}};
    event.from.door = kind < 13 ? Door::kSubmit : kind < 20 ? Door::kWork : Door::kResults;
    if (script_.below(24) == 0) event.from.door = static_cast<Door>(script_.below(3));
    if (event.from.door != Door::kResults)
      event.from.peer = std::string("peer ") + static_cast<char>('a' + script_.below(5));
    if (script_.below(8) == 0) event.only_client = client();
    return event;
  }

  Script script_;
  ManualClock clock_;
  MemoryJournal journal_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::map<Sequence, Sequence> outcomes_;  // finished fact to the accepted one, of those that are kept
  Sequence last_sequence_ = 0;
};

}  // namespace
}  // namespace tandem::broker

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
  tandem::broker::Play({data, n_bytes}).run();
  return 0;
}
