#include "worker/frontend/label_mean.h"

#include <algorithm>

namespace tandem {

LabelAnswer label_mean(const Task& task, std::span<const WeightedLabel> pieces) {
  std::vector<double> sums(task.labels.size());
  double weights = 0;
  for (const WeightedLabel& piece : pieces) {
    if (piece.answer.scores.size() != sums.size()) continue;
    weights += piece.weight;
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += piece.weight * piece.answer.scores[i].probability;
  }
  LabelAnswer mean;
  if (weights <= 0) {
    mean.reason = "unparsed";
    return mean;
  }
  for (size_t i = 0; i < sums.size(); ++i)
    mean.scores.push_back({task.labels[i].id, std::clamp(sums[i] / weights, 0.0, 1.0)});
  const size_t best = static_cast<size_t>(std::max_element(sums.begin(), sums.end()) - sums.begin());
  double second = 0;
  for (size_t i = 0; i < sums.size(); ++i) {
    if (i != best) second = std::max(second, mean.scores[i].probability);
  }
  mean.probability = mean.scores[best].probability;
  mean.margin = mean.probability - second;
  if (mean.margin < task.margin_min) {
    mean.reason = "abstained";
    return mean;
  }
  mean.label = task.labels[best].id;
  mean.display = task.labels[best].display;
  return mean;
}

}  // namespace tandem
