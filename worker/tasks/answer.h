// From what the model did to a typed answer. Pure.

#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "shared/protocol/job.h"
#include "worker/engine/tokenizer/tokenizer.h"
#include "worker/tasks/task.h"

namespace tandem {

// The labels of a closed task as a tree of tokens. A label's probability is the product, over the nodes where
// labels part, of the softmax over that node's continuations: what decoding constrained to the labels would
// draw. When all first tokens differ (the usual case) that takes one forward pass over the prompt.
struct LabelTree {
  struct Node {
    engine::Tokens path;                      // tokens from the end of the prompt to this node
    std::vector<engine::TokenId> next;        // where labels part: the possible next tokens, two or more
    std::vector<std::vector<size_t>> labels;  // [i]: labels that go on with next[i]
  };
  std::vector<Node> nodes;  // nodes[0] is the root, unless there is one label only
  size_t n_labels = 0;
};
// kInvalid when two labels have the same tokens or one is the beginning of another and no end token tells
// them apart (`end_token` is put behind every label to do so).
Result<LabelTree> make_label_tree(const Task& task, const engine::Tokenizer& tokenizer,
                                  engine::TokenId end_token);

// `node_logits[i][j]`: the raw logit of nodes[i].next[j] after nodes[i], as ScoreWork gives it (path = path,
// wanted = next). Fills label, display, probability, margin, scores; equal labels: the first in the file
// wins. Below the task's margin_min it abstains: label and display are "", probability and margin stay those
// of the best label. A logit that is no number gives reason "unparsed".
LabelAnswer score_labels(const Task& task, const LabelTree& tree,
                         std::span<const std::span<const float>> node_logits);

// The answer that says label `best`, the most probable, or abstains, as above. A probability for each label.
LabelAnswer choose_label(const Task& task, std::span<const double> probabilities, size_t best);

// Finds the label in generated text with care: the first line, first words, aliases, case and full-width
// forms, negation ("not positive", "不正面"), "中立"; a refusal, an empty or ambiguous text gives label ""
// with reason "unparsed". `probability` stays 0: nothing was scored.
LabelAnswer parse_label(const Task& task, const std::string& generated);

}  // namespace tandem
