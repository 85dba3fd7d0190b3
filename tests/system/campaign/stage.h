// The cast of a campaign, as real processes: one broker, workers and clients, each under a number and a name.
// Whoever ends without having been told to is noticed; whoever is down is started again by tend().

#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shared/base/clock.h"
#include "shared/net/keys.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/system/campaign/hosts.h"

namespace tandem::testing {

struct StageOptions {
  size_t n_workers = 3;
  size_t n_clients = 3;
  double rate = 150;                   // new jobs a second, of each client
  bool poison = true;                  // some jobs kill whoever works on them
  bool real_workers = false;           // tandem-worker with the demonstration model, not null-worker
  bool with_keys = false;              // over tcp and with CURVE, not ipc
  const Host* workers_host = nullptr;  // null: here
  const Host* clients_host = nullptr;
  std::vector<std::string> broker_settings;  // besides quick leases
  bool small_disk = false;                   // the broker may end by itself, for want of room
};

// What the broker's leases are here.
inline constexpr milliseconds kStageLease{1000};

class Stage {
 public:
  explicit Stage(StageOptions options);
  ~Stage();

  enum class Role { kBroker, kWorker, kClient };
  struct Actor {
    Role role = Role::kBroker;
    size_t number = 0;
    std::unique_ptr<Process> process;
    bool told_to_end = false;  // a signal that ends it was sent
    bool is_stopped = false;   // SIGSTOP
    TimePoint start_at{};      // when it is down: not before
    uint64_t n_starts = 0;
  };

  // All are there and the broker is ready; false: its log is in problems().
  bool start();
  // Starts whoever is down and due. Whoever ended without a reason is a problem.
  void tend();
  void signal(Actor& actor, int signal);
  // SIGKILL, or SIGTERM and SIGKILL later; down for `pause` at least.
  void end(Actor& actor, bool gently, Duration pause);
  // SIGCONT.
  void go_on(Actor& actor);

  Actor& broker() { return actors_[0]; }
  std::vector<Actor*> of(Role role);

  // No new jobs; false when a client still had jobs without an outcome after `at_most`. All clients are gone.
  bool finish_clients(std::chrono::seconds at_most);
  // Begins a round with clean records; the clients are started by tend().
  void begin_round();
  const std::vector<std::string>& record_files() const { return record_files_; }

  std::string endpoint(const std::string& door) const;
  std::optional<ClientKeys> admin_keys() const;
  std::string folder() const { return dir_.path().string(); }
  std::string journal_folder() const { return (dir_ / "journal").string(); }
  // What should not have happened, with the end of the log of whom it happened to.
  std::vector<std::string>& problems() { return problems_; }
  void complain(const std::string& what, const Process* whose = nullptr);

 private:
  void launch(Actor& actor);
  bool is_good_end(const Actor& actor, int status) const;
  void make_keys();
  std::vector<std::string> arguments_of(const Actor& actor) const;
  const Host* host_of(const Actor& actor) const;

  const StageOptions options_;
  TempDir dir_;
  SystemClock clock_;
  std::vector<Actor> actors_;
  std::vector<std::string> record_files_;
  std::vector<std::string> problems_;
  size_t n_rounds_ = 0;
  bool clients_play_ = true;
};

}  // namespace tandem::testing
