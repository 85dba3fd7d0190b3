// A small world around the dispatcher: clients, workers, a network that loses, repeats and delays, and a
// broker that is killed before, during and after its commits. Everything follows from the seed.

#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "broker/dispatcher.h"
#include "tests/broker/memory_journal.h"

namespace tandem::broker {

struct SimulationConfig {
  uint64_t seed = 1;
  int n_jobs = 60;
  int n_clients = 3;
  int n_workers = 4;
  Duration storm = std::chrono::minutes(2);  // so long everything may fail; then nothing does
  double loss = 0.05;
  double repeat = 0.05;
  double worker_death = 0.005;  // in a step of 100 ms, for each
  double broker_death = 0.005;
};

class Simulation {
 public:
  explicit Simulation(const SimulationConfig& config);

  // Until every job has its outcome, or the time in which it must have. Returns what went wrong, one line
  // each; empty if every promise was kept.
  std::vector<std::string> run();

 private:
  // One way between the broker and somebody. Messages arrive late, twice or never, and may overtake.
  struct Sent {
    TimePoint arrives;
    Event event;  // to the broker: from whom; to a peer: to whom
    bool operator>(const Sent& other) const { return arrives > other.arrives; }
  };
  struct Working {
    uint32_t attempt = 0;
    TimePoint ends;
  };
  struct SimWorker {
    std::string name;
    std::string peer;
    uint32_t credit = 1;
    std::map<JobId, Working> jobs;
    TimePoint next_heartbeat;
    TimePoint asleep_until;  // dead until then
    bool is_up = false;
  };
  struct SimJob {
    std::string client;
    std::string text;
    bool is_accepted = false;            // the client heard so
    std::optional<std::string> outcome;  // the first that the client heard of, by any way
    TimePoint next_act;
  };
  struct Held {  // what a worker was told by the broker, and when it last spoke of it
    std::string worker;
    uint32_t attempt = 0;
    TimePoint renewed;
  };

  static std::string peer_of_client(const std::string& client) { return "client " + client; }
  bool chance(double probability);
  Duration random_duration(int from_ms, int to_ms);
  int64_t wall_ms() const { return static_cast<int64_t>(now_.time_since_epoch() / milliseconds(1)); }
  bool is_storm() const { return now_ < storm_ends_; }
  void wrong(const std::string& what);

  void post(std::vector<Sent>& queue, Event event);
  std::vector<Event> arrivals(std::vector<Sent>& queue);

  void start_broker();
  void step();
  void step_broker();
  void step_workers();
  void step_clients();
  void wake_worker(SimWorker& worker);
  void finish_jobs(SimWorker& worker);
  void deliver_to_worker(SimWorker& worker, const Message& message);
  void deliver_to_client(const Message& message);
  void hear_outcome(const JobId& id, const std::string& outcome);
  void note_renewals(const std::vector<Event>& events);
  void check_credits(const Plan& plan);
  void check_leases();
  void check_journal();
  bool is_over() const;

  const SimulationConfig config_;
  std::mt19937_64 random_;
  TimePoint now_{std::chrono::hours(1)};
  const TimePoint storm_ends_;

  DispatcherConfig dispatcher_config_;
  MemoryJournal journal_;
  std::unique_ptr<Dispatcher> dispatcher_;

  std::vector<Sent> to_broker_, to_peers_;
  std::vector<SimWorker> workers_;
  std::map<JobId, SimJob> jobs_;
  std::map<JobId, Held> held_;     // as of the last turn
  std::set<std::string> gave_up_;  // workers that gave leases back in this turn
  uint64_t n_connections_ = 0;
  std::set<std::string> wrongs_;
};

}  // namespace tandem::broker
