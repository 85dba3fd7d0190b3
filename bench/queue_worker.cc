#include "bench/queue_worker.h"

#include <chrono>
#include <variant>

#include "bench/must.h"
#include "shared/net/wait.h"
#include "shared/protocol/messages.h"

namespace tandem::bench {

using namespace std::chrono_literals;

NullWorker::NullWorker(const BrokerProcess& broker, std::string name, uint32_t credit)
    : name_(std::move(name)),
      credit_(credit),
      work_(must(DealerSocket::connect(context_, broker.work(), broker.worker_options()))),
      results_(must(PushSocket::connect(context_, broker.results_in(), broker.worker_options()))),
      thread_([this] { run(); }) {}

NullWorker::~NullWorker() {
  stop_ = true;
  wake_.set();
  thread_.join();
}

void NullWorker::run() {
  say_hello();
  auto next_heartbeat = std::chrono::steady_clock::now();
  while (!stop_) {
    wait({work_, wake_}, 500ms);
    ResultMessage results;
    while (const auto heard = work_.receive()) {
      if (!*heard) continue;
      if (std::holds_alternative<WhoAreYou>(**heard)) say_hello();
      if (const Job* job = std::get_if<Job>(&**heard)) answer(*job, results);
    }
    send(results);
    if (std::chrono::steady_clock::now() >= next_heartbeat) {
      next_heartbeat = std::chrono::steady_clock::now() + 1s;
      (void)work_.send(Heartbeat{});  // nothing is held: what was lent is answered
    }
  }
}

void NullWorker::say_hello() {
  Hello hello;
  hello.worker = name_;
  hello.host = "bench";
  hello.model = "null";
  hello.credit_max = credit_;
  TANDEM_ASSERT(work_.send(hello), "a queue that is hardly used has room");
}

void NullWorker::answer(const Job& job, ResultMessage& results) {
  results.items.reserve(results.items.size() + job.items.size());
  for (const JobItem& item : job.items) {
    ResultItem& result = results.items.emplace_back();
    result.id = item.id;
    result.attempt = item.attempt;
    result.payload = answers_.next();
  }
  if (results.items.size() >= 2048) send(results);
}

void NullWorker::send(ResultMessage& results) {
  if (results.items.empty()) return;
  results.worker = name_;
  while (!results_.send(results)) std::this_thread::yield();
  results.items.clear();
}

}  // namespace tandem::bench
