#include <algorithm>
#include <variant>

#include "tests/sim/watch.h"

namespace tandem::broker::sim {

void ShareWatch::look(const SimBroker::Turn& turn) {
  if (world_.phase != Phase::kCalm || world_.config.equal_calm_jobs > 0) return;
  std::set<JobId> lent;
  for (const Speech& speech : turn.plan.speeches) {
    if (const auto* message = std::get_if<Job>(&speech.message)) {
      for (const JobItem& item : message->items) lent.insert(item.id);
    }
  }
  std::map<std::pair<Urgency, uint8_t>, std::set<std::string>> waiting;
  std::map<std::string, int64_t> cost_max;  // by client
  for (const auto& [id, job] : model_.jobs()) {
    int64_t& most = cost_max[job.accepted.client];
    most = std::max<int64_t>(most, std::max(job.accepted.cost, 1u));
  }
  for (const JobStatus& job : turn.after.jobs) {
    Level& level = levels_[{job.urgency, job.priority}];
    if (lent.contains(job.id)) level.served[job.client] += std::max(job.cost, 1u);
    if (job.state == JobState::kReady && job.delay_ms == 0)
      waiting[{job.urgency, job.priority}].insert(job.client);
  }
  for (auto& [rank, level] : levels_) {
    const std::set<std::string>& here = waiting[rank];
    std::erase_if(level.least_ahead, [&](const auto& entry) { return !here.contains(entry.first.first); });
    for (const std::string& one : here) {
      for (const auto& [other, served] : level.served) {
        if (one == other) continue;
        const int64_t ahead = static_cast<int64_t>(served) - static_cast<int64_t>(level.served[one]);
        const auto [least, is_new] = level.least_ahead.try_emplace({one, other}, ahead);
        least->second = std::min(least->second, ahead);
        if (ahead - least->second > cost_max[one] + cost_max[other]) {
          world_.wrong(other + " was served " + std::to_string(ahead - least->second) +
                       " more in cost while the jobs of " + one + " waited");
        }
      }
    }
  }
}

}  // namespace tandem::broker::sim
