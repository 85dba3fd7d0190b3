// Closed answers without generating: a tree of the labels' tokens, and probabilities from its few logits.

#include <algorithm>
#include <cmath>
#include <map>

#include "shared/base/assert.h"
#include "worker/tasks/answer.h"

namespace tandem {

using engine::TokenId;
using engine::Tokens;

Result<LabelTree> make_label_tree(const Task& task, const engine::Tokenizer& tokenizer, TokenId end_token) {
  const auto wrong = [&](const std::string& text) {
    return fail(ErrorCode::kInvalid, "task '" + task.name + "': " + text);
  };
  if (task.labels.empty()) return wrong("expected labels to score, found none");
  if (end_token < 0) return wrong("expected a model with an end token, found none");

  // Every label's tokens with the end token behind, in the order of the tokens, so that equal ones meet.
  std::map<Tokens, size_t> by_tokens;
  for (size_t i = 0; i < task.labels.size(); ++i) {
    Tokens tokens = tokenizer.encode_plain(task.labels[i].say);
    if (tokens.empty()) return wrong("label '" + task.labels[i].id + "' says no tokens");
    tokens.push_back(end_token);
    const auto [other, is_new] = by_tokens.emplace(std::move(tokens), i);
    if (!is_new) {
      return wrong("expected labels with different tokens, but '" + task.labels[other->second].id +
                   "' and '" + task.labels[i].id + "' are the same to this model's tokenizer");
    }
  }

  // A path is followed by what all labels that begin with it go on with. Paths in order of length, so that
  // the first node is the place where labels part first.
  std::map<std::pair<size_t, Tokens>, std::map<TokenId, std::vector<size_t>>> parts;
  for (const auto& [tokens, label] : by_tokens) {
    for (size_t n = 0; n < tokens.size(); ++n) {
      Tokens path(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(n));
      parts[{n, std::move(path)}][tokens[n]].push_back(label);
    }
  }
  LabelTree tree;
  tree.n_labels = task.labels.size();
  for (const auto& [place, continuations] : parts) {
    if (continuations.size() < 2) continue;
    LabelTree::Node& node = tree.nodes.emplace_back();
    node.path = place.second;
    for (const auto& [token, labels] : continuations) {
      node.next.push_back(token);
      node.labels.push_back(labels);
    }
  }
  return tree;
}

LabelAnswer score_labels(const Task& task, const LabelTree& tree,
                         std::span<const std::span<const float>> node_logits) {
  TANDEM_ASSERT(node_logits.size() == tree.nodes.size(), "every node of the tree was computed");
  TANDEM_ASSERT(tree.n_labels == task.labels.size() && tree.n_labels > 0, "the tree is this task's");

  LabelAnswer answer;
  std::vector<double> log_probability(tree.n_labels, 0.0);
  for (size_t i = 0; i < tree.nodes.size(); ++i) {
    const LabelTree::Node& node = tree.nodes[i];
    const std::span<const float> logits = node_logits[i];
    TANDEM_ASSERT(logits.size() == node.next.size(), "a logit for each continuation of the node");
    for (const float logit : logits) {
      if (std::isfinite(logit)) continue;
      answer.reason = "unparsed";
      return answer;
    }
    const double log_sum = engine::log_sum_exp(logits);
    for (size_t j = 0; j < node.next.size(); ++j) {
      for (const size_t label : node.labels[j]) log_probability[label] += logits[j] - log_sum;
    }
  }

  size_t best = 0;
  std::vector<double> probabilities;
  for (size_t i = 0; i < tree.n_labels; ++i) {
    probabilities.push_back(std::exp(log_probability[i]));
    if (log_probability[i] > log_probability[best]) best = i;
  }
  return choose_label(task, probabilities, best);
}

LabelAnswer choose_label(const Task& task, std::span<const double> probabilities, size_t best) {
  LabelAnswer answer;
  for (size_t i = 0; i < probabilities.size(); ++i) {
    answer.scores.push_back({task.labels[i].id, std::clamp(probabilities[i], 0.0, 1.0)});
  }
  double second = 0;
  for (size_t i = 0; i < probabilities.size(); ++i) {
    if (i != best) second = std::max(second, answer.scores[i].probability);
  }
  answer.probability = answer.scores[best].probability;
  answer.margin = answer.probability - second;
  if (answer.margin < task.margin_min) {
    answer.reason = "abstained";
    return answer;
  }
  answer.label = task.labels[best].id;
  answer.display = task.labels[best].display;
  return answer;
}

}  // namespace tandem
