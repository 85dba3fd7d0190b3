// fault-client: a client that is killed. It submits jobs of all kinds at a steady rate, records what it was
// promised and what it heard, and after a kill goes on from its record: half of what it finds without an
// outcome it submits again under the same id, the rest it collects and fetches.
//
// SIGTERM: no new jobs; ends with 0 when every job has its outcome. Exit status 7: some had none in time.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <random>
#include <set>
#include <vector>

#include "client/include/tandem/client.h"
#include "shared/base/ready_line.h"
#include "shared/base/stop_signal.h"
#include "tests/system/campaign/record.h"

namespace tandem::testing {
namespace {

using namespace std::chrono_literals;

constexpr int kStuck = 7;
constexpr size_t kHeardMax = 5'000;

struct Settings {
  std::string name, submit, results, record, key_file, server_key, task = "echo";
  double rate = 150;
  size_t outstanding_max = 200;
  int patience_s = 60;
  bool no_poison = false;
};

// What a job is like follows from its id, so that it is the same when it is submitted again.
struct Traits {
  explicit Traits(const JobId& id) : number(static_cast<uint32_t>(id.bytes[14]) << 8 | id.bytes[15]) {}
  bool poison() const { return number < 64; }
  bool mortal() const { return number % 16 == 1; }  // has a time to live
  bool delayed() const { return number % 16 == 2; }
  bool common() const { return number % 16 == 3; }  // the same text as others
  bool moody() const { return number % 16 == 4; }   // fails now and then, and may be tried again
  bool taken_back() const { return number % 32 == 9; }
  uint32_t number;
};

class FaultClient {
 public:
  FaultClient(const Settings& settings, std::unique_ptr<Client> client, StopSignal& stop)
      : settings_(settings), client_(std::move(client)), stop_(stop), record_(settings.record) {}

  int run() {
    if (!recover()) return complain();
    const TimePoint start = clock_.now();
    TimePoint end = TimePoint::max();
    while (true) {
      const TimePoint now = clock_.now();
      if (stop_.requested() && end == TimePoint::max())
        end = now + std::chrono::seconds(settings_.patience_s);
      if (stop_.requested() && client_->n_outstanding() == 0) return 0;
      if (now >= end) return complain();
      if (!stop_.requested()) {
        const auto due =
            static_cast<size_t>(std::chrono::duration<double>(now - start).count() * settings_.rate);
        submit_new(due > n_due_ ? std::min<size_t>(due - n_due_, 50) : 0);
        n_due_ = std::max(n_due_, due);
      }
      listen(20ms);
    }
  }

 private:
  void submit(const JobId& id) {
    const Traits traits(id);
    const bool is_poison = traits.poison() && !settings_.no_poison;
    JobRequest request;
    request.tasks = {settings_.task};
    request.text = is_poison         ? "poison " + id.to_string()
                   : traits.moody()  ? "again and again " + id.to_string()
                   : traits.common() ? "what many ask, number " + std::to_string(traits.number >> 4 & 7)
                                     : "this is fine, said " + id.to_string();
    SubmitOptions options;
    options.id = id;
    options.attempts_max = is_poison ? 2 : 100;
    options.priority = static_cast<uint8_t>(traits.number % 10);
    options.urgency = traits.number % 5 == 0 ? Urgency::kInteractive : Urgency::kBulk;
    if (traits.delayed()) options.delay = milliseconds(traits.number % 800);
    if (traits.mortal()) options.ttl = milliseconds(300 + traits.number % 2000);
    if (auto submitted = client_->submit(request, options); !submitted) {
      std::cerr << "submit: " << submitted.error().text << "\n";
      return;
    }
    waiting_.insert(id);
  }

  void submit_new(size_t n) {
    std::vector<JobId> ids;
    while (ids.size() < n && client_->n_outstanding() + ids.size() < settings_.outstanding_max) {
      ids.push_back(make_job_id());
      record_.add('S', ids.back());
    }
    record_.sync();
    for (const JobId& id : ids) submit(id);
  }

  void listen(Duration time) {
    std::vector<JobId> to_cancel;
    for (const ClientEvent& event : client_->wait(time)) {
      const auto* outcome = std::get_if<Outcome>(&event);
      if (outcome == nullptr) continue;
      waiting_.erase(outcome->id);
      hear(outcome->id, outcome->result);
    }
    for (auto id = waiting_.begin(); id != waiting_.end();) {
      if (!client_->accepted(*id)) {
        ++id;
        continue;
      }
      record_.add('A', *id);
      if (Traits(*id).taken_back()) to_cancel.push_back(*id);
      id = waiting_.erase(id);
    }
    record_.sync();
    if (!to_cancel.empty()) (void)client_->cancel(to_cancel);
  }

  void hear(const JobId& id, const Result<JobResult>& outcome) {
    if (heard_before_.contains(id) || !heard_.insert(id).second) record_.add('T', id);
    // An outcome that came long ago is not kept in mind: this process may live for an hour.
    if (heard_.size() > kHeardMax) heard_before_ = std::exchange(heard_, {});
    record_.add('O', id, outcome_word(outcome));
  }

  // What an earlier process of this name left behind.
  bool recover() {
    JobRecords known;
    read_records(settings_.record, known);
    std::set<JobId> open;
    for (const auto& [id, job] : known) {
      if (job.outcomes.empty()) open.insert(id);
    }
    std::vector<JobId> fetched;
    for (const JobId& id : open) {
      // A job with a time to live may have ended long ago, which a new submit would not know.
      if (Traits(id).number % 2 == 0 && !Traits(id).mortal()) {
        submit(id);
      } else {
        fetched.push_back(id);
      }
    }
    return (open.empty() || collect()) && fetch(std::move(fetched));
  }

  bool collect() {
    while (true) {
      auto collected = client_->collect(500, std::chrono::seconds(settings_.patience_s));
      if (!collected) return false;
      std::vector<JobId> ids;
      for (const FetchedItem& item : *collected) {
        ids.push_back(item.id);
        record_.add('O', item.id, outcome_word(outcome_of(item)));
      }
      record_.sync();
      if (ids.empty()) return true;
      client_->acknowledge(ids);
    }
  }

  // Until all of them have ended. What the broker does not know never reached it.
  bool fetch(std::vector<JobId> ids) {
    const TimePoint end = clock_.now() + std::chrono::seconds(settings_.patience_s);
    while (!ids.empty() && clock_.now() < end) {
      const std::vector<JobId> some(ids.begin(),
                                    ids.begin() + static_cast<ptrdiff_t>(std::min<size_t>(ids.size(), 500)));
      const auto answer = client_->fetch(some, 10s);
      if (!answer) continue;
      std::set<JobId> ended;
      for (const FetchedItem& item : *answer) {
        if (item.state == JobState::kUnknown) ended.insert(item.id);
        if (!is_finished(item.state)) continue;
        ended.insert(item.id);
        record_.add('O', item.id, outcome_word(outcome_of(item)));
      }
      std::erase_if(ids, [&](const JobId& id) { return ended.contains(id); });
      listen(50ms);
    }
    return ids.empty();
  }

  int complain() {
    for (const JobId& id : waiting_) std::cerr << "not accepted: " << id.to_string() << "\n";
    std::cerr << client_->n_outstanding() << " jobs without an outcome\n";
    return kStuck;
  }

  const Settings& settings_;
  std::unique_ptr<Client> client_;
  StopSignal& stop_;
  RecordWriter record_;
  SystemClock clock_;
  std::set<JobId> waiting_;  // not known to be accepted
  std::set<JobId> heard_, heard_before_;
  size_t n_due_ = 0;
};

int run(const Settings& settings) {
  StopSignal stop;
  ClientOptions options;
  options.submit_endpoint = settings.submit;
  options.results_endpoint = settings.results;
  options.name = settings.name;
  options.accept_timeout = 1s;
  const auto keys = load_client_keys(settings.key_file, settings.server_key);
  if (!keys) {
    std::cerr << keys.error().text << "\n";
    return 1;
  }
  options.keys = *keys;
  say_ready(STDOUT_FILENO, "client=" + settings.name);  // signals are heard from now on
  auto client = Client::open(options);
  if (!client) {
    std::cerr << client.error().text << "\n";
    return 1;
  }
  return FaultClient(settings, std::move(*client), stop).run();
}

}  // namespace
}  // namespace tandem::testing

int main(int argc, char** argv) {
  tandem::testing::Settings settings;
  CLI::App app("A client that is killed, for tests.", "fault-client");
  app.add_option("--name", settings.name)->required();
  app.add_option("--submit", settings.submit)->required();
  app.add_option("--results", settings.results)->required();
  app.add_option("--record", settings.record, "the file with what it was promised and what it heard")
      ->required();
  app.add_option("--key-file", settings.key_file);
  app.add_option("--server-key", settings.server_key);
  app.add_option("--task", settings.task);
  app.add_option("--rate", settings.rate, "new jobs a second");
  app.add_option("--outstanding", settings.outstanding_max);
  app.add_flag("--no-poison", settings.no_poison, "no job kills its worker");
  app.add_option("--patience", settings.patience_s, "seconds to wait for outcomes in the end");
  CLI11_PARSE(app, argc, argv);
  return tandem::testing::run(settings);
}
