#include "broker/scribe.h"

#include <utility>

#include "shared/base/assert.h"

namespace tandem::broker {

Scribe::Scribe(Journal& journal, const Clock& clock)
    : journal_(&journal), clock_(&clock), thread_([this] {
        for (auto work = given_.wait(); !work.empty(); work = given_.wait()) {
          written_.push(write(std::move(work.front())));
        }
      }) {}

Scribe::~Scribe() {
  given_.close();
  thread_.join();
}

void Scribe::begin(std::vector<Plan> plans) {
  TANDEM_ASSERT(!is_busy_, "one commit at a time");
  is_busy_ = true;
  given_.push(std::move(plans));
}

std::optional<Written> Scribe::take() {
  auto written = written_.take();
  if (written.empty()) return std::nullopt;
  is_busy_ = false;
  return std::move(written.front());
}

Written Scribe::wait() {
  TANDEM_ASSERT(is_busy_, "there is something to wait for");
  auto written = written_.wait();
  is_busy_ = false;
  return std::move(written.front());
}

Written Scribe::write(std::vector<Plan> plans) {
  std::vector<const FactBatch*> batches;
  for (const Plan& plan : plans) {
    if (!plan.facts.empty()) batches.push_back(&plan.facts);
  }
  const TimePoint begun = clock_->now();
  Result<void> outcome = journal_->commit(batches);
  return {std::move(plans), std::move(outcome), clock_->now() - begun};
}

}  // namespace tandem::broker
