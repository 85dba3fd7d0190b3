#include "tests/sim/sim_operator.h"

#include <iterator>
#include <variant>

namespace tandem::broker::sim {

JobId SimOperator::any_job() {
  return std::next(model_.jobs().begin(), static_cast<long>(world_.below(model_.jobs().size())))->first;
}

void SimOperator::step() {
  if (world_.accident(0.005)) say(Drain{1, names_[world_.below(names_.size())], world_.chance(0.5)});
  if (world_.accident(0.02)) say(List{2, true, "", 0, 10});
  if (model_.jobs().empty()) return;
  if (world_.accident(0.002)) say(Forget{3, {any_job(), any_job()}});
  if (world_.accident(0.002)) say(Cancel{4, {any_job()}});
  if (world_.accident(0.005)) say(Revive{5, {any_job(), any_job()}});
  if (world_.chance(0.005)) say(Inspect{6, any_job()});
}

void SimOperator::recover() {
  for (const std::string& name : names_) say(Drain{1, name, false});
}

void SimOperator::hear(const Message& message) {
  if (const auto* listed = std::get_if<Listed>(&message)) {
    Revive revive{5, {}};
    Forget forget{3, {}};
    for (const JobStatus& job : listed->jobs) {
      if (job.state != JobState::kDead) world_.wrong("a job that is not dead is in the list of the dead");
      if (world_.chance(0.4)) revive.ids.push_back(job.id);
      if (world_.chance(0.1)) forget.ids.push_back(job.id);
    }
    if (!revive.ids.empty()) say(revive);
    if (!forget.ids.empty()) say(forget);
  }
}

}  // namespace tandem::broker::sim
