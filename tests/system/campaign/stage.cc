#include "tests/system/campaign/stage.h"

#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "shared/base/assert.h"

namespace tandem::testing {
namespace {

constexpr size_t kLogShown = 1500;
constexpr int kPoisoned = 9;  // null_worker.cc

std::string name_of(const Stage::Actor& actor) {
  switch (actor.role) {
    case Stage::Role::kBroker:
      return "broker";
    case Stage::Role::kWorker:
      return "worker-" + std::to_string(actor.number);
    case Stage::Role::kClient:
      return "client-" + std::to_string(actor.number);
  }
  return {};
}

}  // namespace

Stage::Stage(StageOptions options) : options_(std::move(options)) {
  std::filesystem::create_directories(dir_ / "run");
  if (options_.with_keys) make_keys();
  actors_.push_back({Role::kBroker, 0, nullptr});
  for (size_t i = 0; i < options_.n_workers; ++i) actors_.push_back({Role::kWorker, i, nullptr});
  for (size_t i = 0; i < options_.n_clients; ++i) actors_.push_back({Role::kClient, i, nullptr});
  begin_round();
}

// Whoever is stopped is killed as well: SIGKILL needs no SIGCONT.
Stage::~Stage() = default;

void Stage::make_keys() {
  std::ofstream allow(dir_ / "allow");
  const auto make = [&](const std::string& name, const std::string& role) {
    const auto pair = make_key_pair(name);
    TANDEM_ASSERT(pair && save_key_pair(dir_ / (name + ".key"), *pair), "keys can be made");
    if (role == "broker") {
      std::ofstream(dir_ / "broker.pub") << public_key_text(*pair);
    } else {
      allow << role << " " << pair->public_key << " " << name << "\n";
    }
  };
  make("broker", "broker");
  make("admin", "admin");
  for (size_t i = 0; i < options_.n_workers; ++i) make("worker-" + std::to_string(i), "worker");
  for (size_t i = 0; i < options_.n_clients; ++i) make("client-" + std::to_string(i), "client");
}

std::optional<ClientKeys> Stage::admin_keys() const {
  if (!options_.with_keys) return {};
  auto keys = load_client_keys(dir_ / "admin.key", (dir_ / "broker.pub").string());
  TANDEM_ASSERT(keys.has_value(), "keys that were just made can be read");
  return *keys;
}

std::string Stage::endpoint(const std::string& door) const {
  if (!options_.with_keys) return "ipc://" + (dir_ / "run" / door).string();
  const std::map<std::string, int> ports = {
      {"submit", 7711}, {"work", 7712}, {"results-in", 7713}, {"results-out", 7714}};
  return "tcp://127.0.0.1:" + std::to_string(ports.at(door));
}

const Host* Stage::host_of(const Actor& actor) const {
  if (actor.role == Role::kWorker) return options_.workers_host;
  if (actor.role == Role::kClient) return options_.clients_host;
  return nullptr;
}

std::vector<std::string> Stage::arguments_of(const Actor& actor) const {
  const std::string name = name_of(actor);
  const Host* const host = host_of(actor);
  const auto door = [&](const std::string& which) {
    std::string address = endpoint(which);
    if (host != nullptr) address.replace(address.find("127.0.0.1"), 9, host->our_address());
    return address;
  };
  std::vector<std::string> arguments;
  const auto set = [&](const std::string& setting) {
    arguments.push_back("--set");
    arguments.push_back(setting);
  };
  if (actor.role == Role::kBroker) {
    arguments = {"tandem-broker"};
    const bool everywhere = options_.workers_host != nullptr || options_.clients_host != nullptr;
    for (const auto& [key, which] : std::map<std::string, std::string>{{"submit", "submit"},
                                                                       {"work", "work"},
                                                                       {"results_in", "results-in"},
                                                                       {"results_out", "results-out"}}) {
      std::string address = endpoint(which);
      if (everywhere) address.replace(address.find("127.0.0.1"), 9, "*");
      set("broker." + key + "=" + address);
    }
    if (options_.with_keys) {
      set("security.secret_key_file=" + (dir_ / "broker.key").string());
      set("security.allow_file=" + (dir_ / "allow").string());
    }
    set("journal.folder=" + journal_folder());
    set("broker.lease_ms=" + std::to_string(kStageLease.count()));
    for (const char* setting : {"broker.heartbeat_ms=200", "broker.restart_grace_ms=300",
                                "broker.backoff_ms=20", "broker.backoff_max_ms=500"}) {
      set(setting);
    }
    for (const std::string& setting : options_.broker_settings) set(setting);
    return arguments;
  }
  std::vector<std::string> keys;
  const bool is_real = actor.role == Role::kWorker && options_.real_workers;
  if (options_.with_keys) {
    const std::string key = (dir_ / (name + ".key")).string(), server = (dir_ / "broker.pub").string();
    keys = is_real ? std::vector<std::string>{"--set", "security.key_file=" + key, "--set",
                                              "security.server_key=" + server}
                   : std::vector<std::string>{"--key-file", key, "--server-key", server};
  }
  if (is_real) {
    arguments = {"tandem-worker"};
    for (const std::string& setting :
         {"worker.name=" + name, "worker.work=" + door("work"), "worker.results=" + door("results-in"),
          "cache.folder=" + (dir_ / "cache").string(), "engine.packed_folder=" + (dir_ / "packed").string(),
          std::string("engine.threads=1"), std::string("engine.kv_bytes=64MiB"),
          std::string("worker.drain=2s")}) {
      set(setting);
    }
  } else if (actor.role == Role::kWorker) {
    arguments = {"null-worker",
                 "--name",
                 name,
                 "--host",
                 "host-" + std::to_string(actor.number % 2),
                 "--work",
                 door("work"),
                 "--results",
                 door("results-in"),
                 "--seed",
                 std::to_string(actor.n_starts)};
  } else {
    arguments = {"fault-client",
                 "--name",
                 name,
                 "--submit",
                 door("submit"),
                 "--results",
                 door("results-out"),
                 "--record",
                 record_files_.at(actor.number),
                 "--rate",
                 std::to_string(options_.rate),
                 "--task",
                 options_.real_workers ? "sentiment" : "echo"};
  }
  if (actor.role == Role::kClient && !options_.poison) arguments.push_back("--no-poison");
  arguments.insert(arguments.end(), keys.begin(), keys.end());
  return host == nullptr ? arguments : host->on_it(std::move(arguments));
}

void Stage::launch(Actor& actor) {
  actor.told_to_end = actor.is_stopped = false;
  ++actor.n_starts;
  actor.process = std::make_unique<Process>(
      arguments_of(actor), ProcessOptions{.input = "",
                                          .environment = {{"OPENBLAS_NUM_THREADS", "1"}, {"HOME", folder()}},
                                          .output_dir = folder()});
}

bool Stage::start() {
  launch(broker());
  if (!broker().process->wait_for_output("ready")) {
    complain("the broker did not become ready", broker().process.get());
    return false;
  }
  tend();
  for (Actor* worker : of(Role::kWorker)) {
    if (worker->process->wait_for_output("ready", std::chrono::seconds(60))) continue;
    complain("a worker did not become ready", worker->process.get());
    tend();  // says so when the broker has ended
    return false;
  }
  return true;
}

// Whoever was told to end ends well, or is killed (before it hears signals, or because it took too long).
// Besides: a worker that got poison, and a broker without room, which says so and does not crash.
bool Stage::is_good_end(const Actor& actor, int status) const {
  const std::string log = actor.process->err();
  if (log.find("Sanitizer") != std::string::npos || log.find("assert") != std::string::npos) return false;
  if (actor.role == Role::kWorker && status == kPoisoned) return true;
  if (actor.role == Role::kBroker && options_.small_disk && status == 1 &&
      log.find("disk full") != std::string::npos) {
    return true;
  }
  return actor.told_to_end && (status == 0 || status == 128 + SIGKILL || status == 128 + SIGTERM);
}

void Stage::tend() {
  for (Actor& actor : actors_) {
    if (actor.role == Role::kClient && !clients_play_) continue;
    if (actor.process && actor.process->running()) continue;
    if (actor.process) {
      const int status = *actor.process->wait();
      if (!is_good_end(actor, status)) {
        complain(name_of(actor) + " ended with status " + std::to_string(status), actor.process.get());
      }
      actor.process.reset();
    }
    if (clock_.now() >= actor.start_at) launch(actor);
  }
}

void Stage::signal(Actor& actor, int signal) {
  if (!actor.process) return;
  actor.process->kill(signal);
  if (signal == SIGSTOP) actor.is_stopped = true;
}

void Stage::end(Actor& actor, bool gently, Duration pause) {
  if (!actor.process) return;
  go_on(actor);
  actor.told_to_end = true;
  actor.start_at = clock_.now() + pause;
  actor.process->kill(gently ? SIGTERM : SIGKILL);
}

void Stage::go_on(Actor& actor) {
  if (actor.is_stopped && actor.process) actor.process->kill(SIGCONT);
  actor.is_stopped = false;
}

std::vector<Stage::Actor*> Stage::of(Role role) {
  std::vector<Actor*> found;
  for (Actor& actor : actors_) {
    if (actor.role == role) found.push_back(&actor);
  }
  return found;
}

bool Stage::finish_clients(std::chrono::seconds at_most) {
  bool good = true;
  const TimePoint end = clock_.now() + at_most;
  const auto clients = of(Role::kClient);
  for (Actor* client : clients) {
    // One that was told to end before may be killed before it is done: then it comes again and finishes.
    if (!client->process || client->told_to_end) {
      if (client->process) client->process->kill(SIGKILL), client->process->wait();
      launch(*client);
    }
    go_on(*client);
    client->process->wait_for_output("ready");
  }
  clients_play_ = false;
  for (Actor* client : clients) {
    client->process->kill(SIGTERM);
    std::optional<int> status;
    while (!(status = client->process->wait(milliseconds(20))) && clock_.now() < end) tend();
    if (status != 0) {
      good = false;
      complain(
          name_of(*client) + " did not finish, status " + (status ? std::to_string(*status) : "none yet"),
          client->process.get());
    }
    client->process.reset();
  }
  // Who was told to end last comes again, also when the clients had nothing left to wait for.
  const auto is_away = [](const Actor& actor) {
    return actor.role != Role::kClient && (!actor.process || actor.told_to_end);
  };
  while (std::any_of(actors_.begin(), actors_.end(), is_away) && clock_.now() < end) {
    tend();
    std::this_thread::sleep_for(milliseconds(5));
  }
  return good;
}

void Stage::begin_round() {
  ++n_rounds_;
  clients_play_ = true;
  record_files_.clear();
  for (size_t i = 0; i < options_.n_clients; ++i) {
    record_files_.push_back(
        (dir_ / ("record-" + std::to_string(n_rounds_) + "-" + std::to_string(i))).string());
  }
}

void Stage::complain(const std::string& what, const Process* whose) {
  std::string log = whose == nullptr ? "" : whose->err();
  if (log.size() > kLogShown) log = "..." + log.substr(log.size() - kLogShown);
  std::string problem = what + (log.empty() ? "" : "\n" + log);
  if (std::find(problems_.begin(), problems_.end(), problem) == problems_.end()) {
    problems_.push_back(std::move(problem));
  }
}

}  // namespace tandem::testing
