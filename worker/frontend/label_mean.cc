#include "worker/frontend/label_mean.h"

#include <algorithm>

#include "worker/tasks/answer.h"

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
  const size_t best = static_cast<size_t>(std::max_element(sums.begin(), sums.end()) - sums.begin());
  for (double& sum : sums) sum /= weights;
  return choose_label(task, sums, best);
}

}  // namespace tandem
