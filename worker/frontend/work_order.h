// From one task of a job to work for the model, and from what the model did to the task's result.

#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shared/base/hash.h"
#include "shared/protocol/job.h"
#include "worker/engine/tokenizer/chat_template.h"
#include "worker/engine/tokenizer/tokenizer.h"
#include "worker/scheduler/inference.h"
#include "worker/tasks/answer.h"
#include "worker/tasks/prompt.h"
#include "worker/tasks/task.h"

namespace tandem {

// Who wants to see the answer while it is written is waiting for it, too.
inline Urgency urgency_of(const JobRequest& request, Urgency of_job) {
  return request.stream ? Urgency::kInteractive : of_job;
}

// What answers depend on besides task and text: the same for all jobs of a worker.
struct ModelFacts {
  std::string model_fingerprint;
  const engine::Tokenizer* tokenizer = nullptr;
  engine::ChatTemplate chat_template{""};
  engine::TokenId end_token = 0;   // ends a turn of the assistant
  size_t sequence_tokens_max = 0;  // prompt and answer of one sequence
};

// A task of a job, ready for the model.
struct WorkOrder {
  std::shared_ptr<const TaskBook> book;  // keeps `task`
  const Task* task = nullptr;
  Prompt prompt;
  DecodeSettings settings;
  std::shared_ptr<const LabelTree> tree;                 // of a label task that is scored
  std::shared_ptr<const engine::Constraint> constraint;  // of a text with a shape
  std::string cache_namespace;
  Hash128 key;  // of the answer: equal keys get equal answers
  KeepKv keep = KeepKv::kShared;

  bool is_streamable() const { return task->answer == AnswerKind::kText; }
  // Takes the prompt with it. `stream`: the caller wants deltas.
  SequenceRequest to_sequence(SequenceId id, TimePoint arrived, bool stream, Urgency urgency);
};

// Belongs to the frontend thread. Remembers the label trees and constraints of the tasks it has seen.
class WorkOrders {
 public:
  explicit WorkOrders(ModelFacts facts) : facts_(std::move(facts)) {}

  // kNotFound: no such task. kInvalid, kTooLong: what the job asks cannot be done, and why. Where the prompt
  // is too_long, there is nothing but book, task and prompt: the text is work for a LongTask.
  Result<WorkOrder> make(const std::shared_ptr<const TaskBook>& book, const std::string& task,
                         const JobRequest& request);

  // The answer, with the facts of task and model; `done` has no error. Without worker and total time, which
  // are the caller's.
  TaskResult result_of(const WorkOrder& order, const SequenceDone& done) const;

  // A result that has nothing but its labels: task, version, fingerprints.
  TaskResult blank_result(const Task& task) const;

  // The key of the answer to the whole text of a task that splits, by its bytes: found without a token being
  // made. Nothing when the text is surely not too long, or the request is not in order.
  std::optional<Hash128> long_key(const Task& task, const JobRequest& request) const;

  // As text_tokens_max(), for this model; and a text's tokens.
  Result<size_t> text_tokens_max(const Task& task, const JobRequest& request) const;
  size_t n_tokens(std::string_view text) const { return facts_.tokenizer->encode_plain(text).size(); }

  // What all prompts of a task begin with, of every task; no one is the beginning of another.
  std::vector<engine::Tokens> fixed_prefixes(const TaskBook& book) const;

  void forget_tasks() {
    trees_.clear();
    constraints_.clear();
  }

 private:
  Result<std::shared_ptr<const LabelTree>> tree_of(const Task& task);
  std::shared_ptr<const engine::Constraint> constraint_of(const Task& task);

  ModelFacts facts_;
  // By the task's fingerprint.
  std::map<std::string, std::shared_ptr<const LabelTree>> trees_;
  std::map<std::string, std::shared_ptr<const engine::Constraint>> constraints_;
  std::shared_ptr<const engine::TokenTrie> trie_;  // of the tokenizer; made when a task first has a shape
};

}  // namespace tandem
