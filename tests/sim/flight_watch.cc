#include <variant>

#include "tests/sim/watch.h"

namespace tandem::broker::sim {

void FlightWatch::look(const SimBroker::Turn& turn) {
  if (world_.phase != Phase::kCalm) return;
  std::map<std::string, int> n_leased;
  for (const JobStatus& job : turn.after.jobs) {
    if (job.state != JobState::kLeased) continue;
    const std::string text = model_.find(job.id)->text();
    if (++n_leased[text] == 2) world_.wrong("'" + text + "' is worked on twice");
  }
  // Whoever waited for an answer has it.
  std::map<std::string, const FinishedFact*> answers;
  for (const FinishedFact& fact : turn.plan.facts.finished) {
    if (fact.state != JobState::kDone) continue;
    const auto [answer, is_new] = answers.try_emplace(model_.find(fact.id)->text(), &fact);
    if (!is_new && !(answer->second->payload == fact.payload))
      world_.wrong("equal jobs came to different answers");
  }
  std::set<JobId> new_ones;
  for (const AcceptedFact& fact : turn.plan.facts.accepted) new_ones.insert(fact.id);
  std::map<std::string, std::set<JobId>> waiting;
  for (const JobStatus& job : turn.after.jobs) {
    const ModelJob& known = *model_.find(job.id);
    // It may have come, or its time, after the answer in the same turn.
    const bool is_fresh = new_ones.contains(job.id) || known.not_before > world_.now - World::kStep;
    if (job.state == JobState::kLeased || job.delay_ms > 0 || is_fresh) continue;
    waiting[known.text()].insert(job.id);
    if (answers.contains(known.text())) {
      world_.wrong(describe(model_, job.id) + " waits, and an equal job was answered");
    }
  }
  // And each part of it.
  std::set<JobId> sent_parts;
  for (const auto& [client, partial] : turn.plan.partials) {
    for (const PartialItem& item : partial.items) sent_parts.insert(item.id);
  }
  for (const auto& [client, partial] : turn.plan.partials) {
    for (const PartialItem& item : partial.items) {
      const ModelJob* job = model_.find(item.id);
      if (job == nullptr || job->finished) continue;
      for (const JobId& id : waiting[job->text()]) {
        if (!sent_parts.contains(id))
          world_.wrong(describe(model_, id) + " was not sent a part that an equal job was");
      }
    }
  }
}

}  // namespace tandem::broker::sim
