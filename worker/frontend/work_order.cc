#include "worker/frontend/work_order.h"

#include <algorithm>
#include <ranges>
#include <set>
#include <span>
#include <vector>

#include "shared/base/utf8.h"
#include "worker/cache/answer_cache.h"
#include "worker/frontend/trimmed_stream.h"
#include "worker/tasks/fixed_prefix.h"
#include "worker/tasks/plain_text.h"

namespace tandem {

SequenceRequest WorkOrder::to_sequence(SequenceId id, TimePoint arrived, bool stream, Urgency urgency) {
  SequenceRequest request;
  request.id = id;
  request.urgency = urgency;
  request.arrived = arrived;
  request.prompt = std::move(prompt.tokens);
  request.keep = keep;
  if (tree) {
    ScoreWork score;
    for (const LabelTree::Node& node : tree->nodes) {
      score.paths.push_back(node.path);
      score.wanted.push_back(node.next);
    }
    if (score.paths.empty()) {  // a single label: nothing to ask, and nothing worth a special case
      score.paths.emplace_back();
      score.wanted.emplace_back();
    }
    request.work = std::move(score);
  } else {
    request.work =
        DecodeWork{settings.sampler, settings.tokens_max, settings.stop, stream, constraint, task->speculate};
  }
  return request;
}

Result<WorkOrder> WorkOrders::make(const std::shared_ptr<const TaskBook>& book, const std::string& name,
                                   const JobRequest& request) {
  WorkOrder order;
  order.book = book;
  TANDEM_ASSIGN(order.task, book->find(name));
  const Task& task = *order.task;
  const bool is_text = task.answer == AnswerKind::kText;
  if (task.answer == AnswerKind::kLabel && task.method == LabelMethod::kScore) {
    TANDEM_ASSIGN(order.tree, tree_of(task));
  }
  if (task.grammar) order.constraint = constraint_of(task);
  TANDEM_ASSIGN(order.prompt, make_prompt(task, request, *facts_.tokenizer, facts_.chat_template,
                                          facts_.sequence_tokens_max));
  if (order.prompt.too_long) return order;
  // A caller's settings are for open answers; a label is the task's business.
  TANDEM_ASSIGN(order.settings,
                decode_settings(task, is_text ? request.decode : DecodeOverrides{}, order.prompt.tokens));

  AnswerKeyParts parts;
  parts.model_fingerprint = facts_.model_fingerprint;
  parts.tokenizer_fingerprint = facts_.tokenizer->fingerprint();
  parts.task = &task;
  parts.prompt = &order.prompt.tokens;
  parts.decode = &order.settings;
  parts.cache_namespace = request.cache_namespace;
  order.key = answer_key(parts);
  order.cache_namespace = request.cache_namespace;
  if (!request.store) {
    order.keep = KeepKv::kNothing;
  } else if (task.history_turns_max > 0 && !request.history.empty()) {
    order.keep = KeepKv::kAll;
  }
  return order;
}

// The request in its shortest form, so that equal meanings have one key: white space at the text's ends,
// variables that have their defaults, and settings that the task does not use make no difference.
std::optional<Hash128> WorkOrders::long_key(const Task& task, const JobRequest& request) const {
  if (!task.split) return std::nullopt;
  const bool may_be_long = request.text.size() > task.input_tokens_max ||
                           (task.input_chars_max > 0 && request.text.size() > task.input_chars_max) ||
                           request.text.size() > facts_.sequence_tokens_max / 2;
  if (!may_be_long || !check_utf8(request.text)) return std::nullopt;
  auto values = variable_values(task, request);
  if (!values) return std::nullopt;
  JobRequest meant;
  meant.text = trim_blank(request.text);
  meant.tasks = {task.name};
  meant.variables = std::move(*values);
  if (task.answer == AnswerKind::kText) meant.decode = request.decode;
  HashBuilder hash;
  hash.add("tandem long text 1").add(facts_.model_fingerprint).add(facts_.tokenizer->fingerprint());
  hash.add(uint64_t{facts_.sequence_tokens_max});  // pieces are made for it
  hash.add(task.split->fingerprint).add(request.cache_namespace).add(encode(meant));
  return hash.finish();
}

Result<size_t> WorkOrders::text_tokens_max(const Task& task, const JobRequest& request) const {
  return tandem::text_tokens_max(task, request, *facts_.tokenizer, facts_.chat_template,
                                 facts_.sequence_tokens_max);
}

Result<std::shared_ptr<const LabelTree>> WorkOrders::tree_of(const Task& task) {
  std::shared_ptr<const LabelTree>& tree = trees_[task.fingerprint];
  if (!tree) {
    TANDEM_ASSIGN(auto made, make_label_tree(task, *facts_.tokenizer, facts_.end_token));
    tree = std::make_shared<const LabelTree>(std::move(made));
  }
  return tree;
}

std::vector<engine::Tokens> WorkOrders::fixed_prefixes(const TaskBook& book) const {
  std::set<engine::Tokens> prefixes;
  for (const auto& [name, task] : book.tasks()) {
    prefixes.insert(fixed_prefix(task, *facts_.tokenizer, facts_.chat_template, facts_.sequence_tokens_max));
  }
  std::vector<engine::Tokens> longest;  // in order, what begins another stands right before it
  for (const engine::Tokens& prefix : prefixes) {
    if (!longest.empty() &&
        std::ranges::equal(longest.back(), prefix | std::views::take(longest.back().size()))) {
      longest.pop_back();
    }
    if (!prefix.empty()) longest.push_back(prefix);
  }
  return longest;
}

std::shared_ptr<const engine::Constraint> WorkOrders::constraint_of(const Task& task) {
  if (!trie_) trie_ = engine::TokenTrie::make(*facts_.tokenizer);
  std::shared_ptr<const engine::Constraint>& constraint = constraints_[task.fingerprint];
  if (!constraint) constraint = std::make_shared<const engine::Constraint>(task.grammar, trie_);
  return constraint;
}

TaskResult WorkOrders::blank_result(const Task& task) const {
  TaskResult result;
  result.task = task.name;
  result.task_version = task.version;
  result.task_fingerprint = task.fingerprint;
  result.model_fingerprint = facts_.model_fingerprint;
  return result;
}

TaskResult WorkOrders::result_of(const WorkOrder& order, const SequenceDone& done) const {
  const Task& task = *order.task;
  TaskResult result = blank_result(task);
  if (order.tree) {
    std::vector<std::span<const float>> logits;
    for (size_t i = 0; i < order.tree->nodes.size(); ++i) logits.emplace_back(done.scores[i]);
    result.label = score_labels(task, *order.tree, logits);
  } else if (task.answer == AnswerKind::kLabel) {
    result.label = parse_label(task, done.text);
  } else if (!task.grammar) {
    result.text = TextAnswer{std::string(trimmed(done.text)), done.finish_reason};
  } else if (engine::fits(task.grammar, done.text)) {
    result.text = TextAnswer{done.text, done.finish_reason};
  } else {
    result.error =
        Error{ErrorCode::kTooLong,
              "expected an answer of the task's shape within " + std::to_string(order.settings.tokens_max) +
                  " tokens (tokens_max), found its beginning, cut off (" + done.finish_reason + ")"};
  }
  result.usage.prompt_tokens = done.prompt_tokens;
  result.usage.cached_tokens = done.cached_tokens;
  result.usage.computed_tokens = done.computed_tokens;
  result.usage.completion_tokens = done.completion_tokens;
  result.timings.queue_us = static_cast<uint64_t>(to_us(done.queued));
  result.timings.prefill_us = static_cast<uint64_t>(to_us(done.prefill));
  result.timings.decode_us = static_cast<uint64_t>(to_us(done.decode));
  result.batch_size = done.batch_size;
  return result;
}

}  // namespace tandem
