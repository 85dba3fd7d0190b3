// One label for a text of which every piece has one.

#pragma once

#include <span>

#include "shared/protocol/job.h"
#include "worker/tasks/task.h"

namespace tandem {

struct WeightedLabel {
  LabelAnswer answer;  // with the scores of all the task's labels, or none (unparsed)
  double weight = 0;   // the characters of the piece
};

// The mean of the pieces' probabilities, weighted by length (a linear opinion pool):
//
//   p(label) = sum_i weight_i * p_i(label) / sum_i weight_i
//
// so that a piece that is sure says more than one that is not, whatever label it has for itself. Abstentions
// count with their probabilities, pieces without scores not at all; with none left the reason is "unparsed".
// Below the task's margin_min the whole abstains, as score_labels() does.
LabelAnswer label_mean(const Task& task, std::span<const WeightedLabel> pieces);

}  // namespace tandem
