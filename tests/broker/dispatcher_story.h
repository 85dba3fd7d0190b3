// What the dispatcher's tests are told in: clients, workers and time on one side, what was heard of the
// broker on the other. Every act is one turn.

#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "broker/dispatcher.h"
#include "tests/broker/memory_journal.h"

namespace tandem::broker {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Lines = std::vector<std::string>;

class DispatcherStory : public ::testing::Test {
 protected:
  DispatcherStory() { restart(); }

  DispatcherConfig config_;

  // ---- acts ----

  // The broker dies and comes back with what is in the journal, and nothing else.
  void restart() {
    dispatcher_ = std::make_unique<Dispatcher>(config_);
    const auto replayed = journal_.replay(replay_into(*dispatcher_));
    ASSERT_TRUE(replayed) << replayed.error().text;
    dispatcher_->start(clock_.now(), clock_.wall_ms());
  }

  struct SubmitOptions {
    std::string client = "carl";
    uint32_t attempts_max = 0;
    uint32_t cost = 1;
    std::string payload = "payload";
    Urgency urgency = Urgency::kBulk;
    uint8_t priority = kPriorityDefault;
    uint64_t delay_ms = 0;
    uint64_t ttl_ms = 0;
    std::string of{};  // the text of whose job; empty: its own
    uint64_t route = 7;
  };
  // "greeting ready", or "greeting refused: full".
  std::string submit(const std::string& name) { return submit(name, SubmitOptions{}); }
  std::string submit(const std::string& name, const SubmitOptions& options) {
    return submit_all({name}, options).at(0);
  }
  Lines submit_all(const Lines& names, const SubmitOptions& options) {
    Submit message{++request_, options.client, {}};
    for (const std::string& name : names) {
      const std::string& whose = options.of.empty() ? name : options.of;
      message.items.push_back({id(name), options.route, options.cost, options.attempts_max,
                               options.payload + " of " + whose, options.urgency, options.priority,
                               options.delay_ms, options.ttl_ms});
    }
    hear(Door::kSubmit, "conn-" + options.client, message);
    Lines lines;
    for (const AcceptedItem& item : answer<Accepted>().items) lines.push_back(line(item));
    return lines;
  }
  // "greeting done, attempt 1: text" or "greeting failed, attempt 5: error".
  std::string fetch(const std::string& name) {
    hear(Door::kSubmit, "conn-carl", Fetch{++request_, {id(name)}});
    const Fetched fetched = answer<Fetched>();
    const FetchedItem& item = fetched.items.at(0);
    std::string line = name + " " + std::string(to_string(item.state));
    if (item.attempt > 0) line += ", attempt " + std::to_string(item.attempt);
    if (!item.error.text.empty()) line += ": " + item.error.text;
    if (!item.payload.empty()) line += ": " + item.payload.to_string();
    return line;
  }
  std::string cancel(const std::string& name) {
    hear(Door::kSubmit, "conn-carl", Cancel{++request_, {id(name)}});
    return line(answer<Accepted>().items.at(0));
  }
  StatusReply status() {
    hear(Door::kSubmit, "conn-carl", Status{++request_});
    return answer<StatusReply>();
  }
  std::vector<JobStatus> list(bool dead = false, const std::string& client = "", uint64_t after = 0,
                              uint32_t jobs_max = 100) {
    hear(Door::kSubmit, "conn-carl", List{++request_, dead, client, after, jobs_max});
    return answer<Listed>().jobs;
  }
  // From beginning to end.
  void do_job(const std::string& job, const std::string& client = "carl") {
    ready("ann", 5);
    submit(job, {.client = client});
    finish("ann", job, 1, "answer to " + job);
  }

  std::string revive(const std::string& name) {
    hear(Door::kSubmit, "conn-carl", Revive{++request_, {id(name)}});
    return line(answer<Accepted>().items.at(0));
  }
  std::string forget(const std::string& name) {
    hear(Door::kSubmit, "conn-carl", Forget{++request_, {id(name)}});
    return line(answer<Accepted>().items.at(0));
  }
  // The names of the finished jobs that the client did not acknowledge.
  Lines collect(const std::string& client = "carl", uint32_t items_max = 100) {
    hear(Door::kSubmit, "conn-carl", Collect{++request_, client, items_max});
    Lines names;
    for (const FetchedItem& item : answer<Fetched>().items) names.push_back(name(item.id));
    return names;
  }
  void acknowledge(const std::string& name, const std::string& client = "carl") {
    hear(Door::kSubmit, "conn-carl", Acknowledge{client, {id(name)}});
  }

  // A worker says Hello, over a connection of its own name unless given, and keeps its leases from then on
  // until it dies.
  void ready(const std::string& worker, uint32_t credit, const std::vector<HeldLease>& held = {},
             const std::string& connection = "") {
    Hello hello;
    hello.credit_max = credit;
    hello.held = held;
    ready(worker, hello, connection);
  }
  void ready(const std::string& worker, Hello hello, const std::string& connection = "") {
    const std::string peer = connection.empty() ? "conn-" + worker : connection;
    connection_[worker] = peer;
    alive_.insert(worker);
    hello.worker = worker;
    if (hello.host.empty()) hello.host = "host";
    hello.model = "model";
    hear(Door::kWork, peer, std::move(hello));
  }
  struct WorkerOptions {
    std::string host = "host";
    uint32_t credit = 1;
    uint64_t cost_max = 0;
    uint32_t interactive_extra = 0;
  };
  void join(const std::string& worker, const WorkerOptions& options) {
    Hello hello;
    hello.host = options.host;
    hello.credit_max = options.credit;
    hello.cost_max = options.cost_max;
    hello.interactive_extra = options.interactive_extra;
    ready(worker, hello);
  }
  void die(const std::string& worker) {
    alive_.erase(worker);
    holding_[worker].clear();
  }
  bool is_alive(const std::string& worker) const { return alive_.contains(worker); }
  void goodbye(const std::string& worker) {
    die(worker);
    hear(Door::kWork, connection_[worker], Goodbye{});
  }
  void beat(const std::string& worker, const std::vector<HeldLease>& held) {
    hear(Door::kWork, connection_[worker], Heartbeat{held});
  }
  HeldLease held(const std::string& job, uint32_t attempt) { return {id(job), attempt}; }

  void finish(const std::string& worker, const std::string& job, uint32_t attempt, const std::string& text) {
    holding_[worker].erase(job);
    hear(Door::kResults, "", ResultMessage{worker, {{id(job), attempt, {}, false, text}}});
  }
  void fail_job(const std::string& worker, const std::string& job, uint32_t attempt, const std::string& error,
                bool retry) {
    holding_[worker].erase(job);
    const Error wrong{ErrorCode::kInternal, error};
    hear(Door::kResults, "", ResultMessage{worker, {{id(job), attempt, wrong, retry, ""}}});
  }
  void part(const std::string& worker, const std::string& job, uint32_t attempt, const std::string& text) {
    hear(Door::kResults, "", Partial{worker, {{id(job), attempt, text}}});
  }

  // Time goes by a turn at a time; workers that are alive send heartbeats.
  void pass(Duration time) {
    const TimePoint end = clock_.now() + time;
    while (clock_.now() < end) {
      const Duration step = std::min<Duration>(end - clock_.now(), 500ms);
      clock_.advance(step);
      const auto since_start = clock_.now().time_since_epoch();
      if (since_start % config_.heartbeat < step) {
        for (const std::string& worker : std::set(alive_)) {
          std::vector<HeldLease> held;
          for (const auto& [job, attempt] : holding_[worker]) held.push_back({id(job), attempt});
          beat(worker, held);
        }
      }
      turn({});
    }
  }

  void hear(Door door, const std::string& peer, Message message) {
    std::vector<Event> events;
    events.push_back({{door, peer}, std::move(message)});
    turn(std::move(events));
  }

  void turn(std::vector<Event> events) {
    Plan plan = dispatcher_->turn({clock_.now(), clock_.wall_ms(), room_, result_room_, may_lend_},
                                  std::move(events));
    ASSERT_TRUE(journal_.commit(plan.facts));
    EXPECT_GE(plan.wake_at, clock_.now());
    wake_at_ = plan.wake_at;
    for (Speech& speech : plan.speeches) listen(std::move(speech));
    for (const auto& [client, partial] : plan.partials) {
      for (const PartialItem& item : partial.items) {
        published_.push_back(client + "/ " + name(item.id) + " part: " + item.payload.to_string());
      }
    }
    for (const auto& [client, worker, places] : plan.outcomes) {
      for (const size_t place : places) {
        const FinishedFact& fact = plan.facts.finished.at(place);
        const bool is_done = fact.state == JobState::kDone;
        published_.push_back(client + "/ " + name(fact.id) + " " + std::string(to_string(fact.state)) + ": " +
                             (is_done ? fact.payload.to_string() : fact.error.text));
      }
    }
  }

  // ---- what was heard since the last time somebody asked ----

  // "greeting -> ann, attempt 1"
  Lines assignments() { return std::exchange(assignments_, {}); }
  // "ann: welcome", "ann: who are you", "ann: cancel greeting"
  Lines told() { return std::exchange(told_, {}); }
  // "carl/ greeting done: text"
  Lines published() { return std::exchange(published_, {}); }

  JobId id(const std::string& name) {
    const JobId id = job_id_from_key(name);
    names_[id] = name;
    return id;
  }
  std::string name(const JobId& id) const {
    const auto found = names_.find(id);
    return found == names_.end() ? id.to_string() : found->second;
  }

  ManualClock clock_;
  MemoryJournal journal_;
  std::unique_ptr<Dispatcher> dispatcher_;
  uint64_t room_ = std::numeric_limits<uint64_t>::max();
  uint64_t result_room_ = std::numeric_limits<uint64_t>::max();
  bool may_lend_ = true;
  TimePoint wake_at_;
  std::vector<Message> answers_;  // to clients

  template <typename M>
  M answer() {
    EXPECT_EQ(answers_.size(), 1u);
    std::vector<Message> answers = std::exchange(answers_, {});
    const M* message = answers.size() == 1 ? std::get_if<M>(&answers[0]) : nullptr;
    EXPECT_NE(message, nullptr);
    return message == nullptr ? M{} : *message;
  }

 private:
  std::string line(const AcceptedItem& item) const {
    if (item.error.text.empty() && item.state == JobState::kUnknown) return name(item.id) + " forgotten";
    if (item.error.text.empty()) return name(item.id) + " " + std::string(to_string(item.state));
    return name(item.id) + " refused: " + std::string(to_string(item.error.code));
  }

  void listen(Speech speech) {
    if (auto* job = std::get_if<Job>(&speech.message)) {
      ASSERT_EQ(job->items.size(), speech.bodies.size());
      const std::string worker = worker_at(speech.to.peer);
      for (size_t i = 0; i < job->items.size(); ++i) {
        const JobItem& item = job->items[i];
        EXPECT_TRUE(journal_.read(speech.bodies[i])) << name(item.id);
        assignments_.push_back(name(item.id) + " -> " + worker + ", attempt " + std::to_string(item.attempt));
        if (alive_.contains(worker)) holding_[worker][name(item.id)] = item.attempt;
      }
      return;
    }
    if (auto* fetched = std::get_if<Fetched>(&speech.message)) {
      ASSERT_EQ(fetched->items.size(), speech.bodies.size());
      for (size_t i = 0; i < fetched->items.size(); ++i) {
        if (speech.bodies[i] == 0) continue;
        const auto body = journal_.read(speech.bodies[i]);
        ASSERT_TRUE(body);
        fetched->items[i].payload = body->payload;
        fetched->items[i].error = body->error;
      }
    }
    if (speech.to.door == Door::kSubmit) {
      answers_.push_back(std::move(speech.message));
      return;
    }
    const std::string worker = worker_at(speech.to.peer);
    if (std::holds_alternative<Welcome>(speech.message)) told_.push_back(worker + ": welcome");
    if (std::holds_alternative<WhoAreYou>(speech.message)) told_.push_back(worker + ": who are you");
    if (std::holds_alternative<Refused>(speech.message)) told_.push_back(worker + ": refused");
    if (const auto* recall = std::get_if<Recall>(&speech.message)) {
      for (const JobId& id : recall->ids) told_.push_back(worker + ": give back " + name(id));
    }
    if (const auto* cancel = std::get_if<Cancel>(&speech.message)) {
      for (const JobId& id : cancel->ids) {
        told_.push_back(worker + ": cancel " + name(id));
        holding_[worker].erase(name(id));
      }
    }
  }

  std::string worker_at(const std::string& peer) const {
    for (const auto& [worker, connection] : connection_) {
      if (connection == peer) return worker;
    }
    return peer;
  }

  std::map<JobId, std::string> names_;
  std::map<std::string, std::string> connection_;                   // of workers
  std::set<std::string> alive_;                                     // workers that send heartbeats
  std::map<std::string, std::map<std::string, uint32_t>> holding_;  // worker -> job -> attempt
  Lines assignments_, told_, published_;
  uint64_t request_ = 0;
};

}  // namespace tandem::broker
