// null-worker: a worker without a model, for tests that kill hundreds of them. Its session is that of the
// real one; in place of the frontend somebody answers every job after a random moment.
//
// No two answers of it are equal, not even to the same job: whoever hears two for one job can tell. A text
// that begins with "poison" kills it.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <thread>

#include "shared/base/log.h"
#include "shared/base/ready_line.h"
#include "shared/base/stop_signal.h"
#include "shared/protocol/job.h"
#include "worker/session/session.h"

namespace tandem::testing {
namespace {

struct Settings {
  std::string name, host = "null", work, results, key_file, server_key;
  uint32_t credit = 16;
  uint64_t delay_us_max = 10'000;
  uint64_t seed = 1;
};

// What stands in for the frontend: jobs in, answers out, on a thread of its own.
class Answerer {
 public:
  Answerer(const Settings& settings, const Clock& clock, Inbox<ToFrontend>& in, Inbox<FromFrontend>& out)
      : settings_(settings), clock_(clock), in_(in), out_(out), random_(settings.seed) {}

  void run() {
    while (!in_.closed()) {
      const TimePoint now = clock_.now();
      const Duration time = due_.empty() ? Duration(std::chrono::seconds(1)) : due_.begin()->first - now;
      for (ToFrontend& item : in_.wait_for(std::max(time, Duration::zero()))) {
        std::visit([this](auto& one) { hear(one); }, item);
      }
      answer_what_is_due();
    }
  }

 private:
  using Due = std::multimap<TimePoint, LeasedJob>;

  void hear(LeasedJob& job) {
    if (const auto known = by_id_.find(job.id); known != by_id_.end()) {
      known->second->second.attempt = job.attempt;  // lent again, while it was held
      return;
    }
    // A tenth of them take much longer: they are held while others come and go.
    const uint64_t most = settings_.delay_us_max * (random_() % 10 == 0 ? 20 : 1);
    const TimePoint at = clock_.now() + std::chrono::microseconds(random_() % (most + 1));
    const JobId id = job.id;
    by_id_.emplace(id, due_.emplace(at, std::move(job)));
  }
  void hear(const CancelledJob& job) { drop(job.id); }
  // Half of them pass for not begun.
  void hear(const RecalledJob& job) {
    const auto known = by_id_.find(job.id);
    if (known == by_id_.end() || random_() % 2 == 0) return;
    out_.push(ReturnedJob{job.id, known->second->second.attempt});
    drop(job.id);
  }
  void hear(const OverdueJob& job) {
    const auto known = by_id_.find(job.id);
    if (known == by_id_.end()) return;
    ResultItem result;
    result.id = job.id;
    result.attempt = known->second->second.attempt;
    result.error = {ErrorCode::kExpired, "its time was over before it was begun"};
    out_.push(std::move(result));
    drop(job.id);
  }
  void hear(const SequencesBegan&) {}
  void hear(const SequenceDelta&) {}
  void hear(const SequenceDone&) {}

  void drop(const JobId& id) {
    const auto known = by_id_.find(id);
    if (known == by_id_.end()) return;
    due_.erase(known->second);
    by_id_.erase(known);
  }

  void answer_what_is_due() {
    while (!due_.empty() && due_.begin()->first <= clock_.now()) {
      const LeasedJob job = std::move(due_.begin()->second);
      due_.erase(due_.begin());
      by_id_.erase(job.id);
      answer(job);
    }
  }

  void answer(const LeasedJob& job) {
    ResultItem result;
    result.id = job.id;
    result.attempt = job.attempt;
    const auto request = decode_job_request(job.payload.view());
    if (!request) {
      result.error = request.error();
    } else if (request->text.starts_with("poison")) {
      ::_exit(9);
    } else if (request->text.starts_with("again") && random_() % 4 == 0) {
      result.error = {ErrorCode::kUnavailable, "another time"};
      result.retry = true;
    } else {
      TaskResult answer;
      answer.task = request->tasks.front();
      answer.worker = settings_.name;
      answer.text = TextAnswer{std::to_string(::getpid()) + "." + std::to_string(++n_answers_) + " by " +
                                   settings_.name + ": " + request->text,
                               "stop"};
      result.payload = encode(JobResult{{std::move(answer)}});
    }
    out_.push(std::move(result));
  }

  const Settings& settings_;
  const Clock& clock_;
  Inbox<ToFrontend>& in_;
  Inbox<FromFrontend>& out_;
  std::mt19937_64 random_;
  Due due_;
  std::map<JobId, Due::iterator> by_id_;
  uint64_t n_answers_ = 0;
};

int failed(const Error& error) {
  std::cerr << "null-worker: " << error.text << "\n";
  return 1;
}

int run(const Settings& settings) {
  StopSignal stop;
  const SystemClock clock;
  Wake wake;
  Inbox<FromFrontend> to_session(&wake);
  Inbox<ToFrontend> to_answerer;
  NetContext net;
  const auto keys = load_client_keys(settings.key_file, settings.server_key);
  if (!keys) return failed(keys.error());
  SessionOptions options;
  options.work_endpoint = settings.work;
  options.results_endpoint = settings.results;
  options.keys = *keys;
  options.hello.worker = settings.name;
  options.hello.host = settings.host;
  options.hello.model = "null";
  options.hello.credit_max = settings.credit;
  options.hello.interactive_extra = 2;
  options.hello.tasks = {"echo"};
  options.drain = std::chrono::seconds(2);
  auto session = Session::open(net, std::move(options), clock, to_session, wake, to_answerer);
  if (!session) return failed(session.error());

  Answerer answerer(settings, clock, to_answerer, to_session);
  std::thread answering([&] { answerer.run(); });
  const auto left = session->run(
      stop.wake(), [&] { return stop.requested(); },
      [&] { say_ready(STDOUT_FILENO, "worker=" + settings.name); });
  to_answerer.close();
  answering.join();
  return left ? 0 : failed(left.error());
}

}  // namespace
}  // namespace tandem::testing

int main(int argc, char** argv) {
  tandem::testing::Settings settings;
  CLI::App app("A worker without a model, for tests.", "null-worker");
  app.add_option("--name", settings.name)->required();
  app.add_option("--host", settings.host);
  app.add_option("--work", settings.work, "the broker's work socket")->required();
  app.add_option("--results", settings.results, "the broker's results_in socket")->required();
  app.add_option("--key-file", settings.key_file);
  app.add_option("--server-key", settings.server_key);
  app.add_option("--credit", settings.credit, "jobs at a time");
  app.add_option("--delay-us", settings.delay_us_max,
                 "longest time for an answer; a tenth take 20 times that");
  app.add_option("--seed", settings.seed);
  CLI11_PARSE(app, argc, argv);
  return tandem::testing::run(settings);
}
