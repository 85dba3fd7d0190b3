// A task of a job whose text is too long for one prompt: which prompts to ask instead, and what comes of
// their answers. It decides; the frontend asks.
//
//   text -> pieces -> an answer each (map) -> joined, in as many levels as it takes -> one answer (reduce)
//
// Every part is an ordinary prompt of an ordinary task, with a cache key of its own: what is known is not
// asked again.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shared/protocol/job.h"
#include "worker/frontend/label_mean.h"
#include "worker/frontend/work_order.h"
#include "worker/tasks/task.h"

namespace tandem {

// Belongs to the frontend thread.
class LongTask {
 public:
  // A prompt to ask. The pieces come first, numbered from 0.
  struct Part {
    uint32_t number = 0;
    std::string task;
    bool is_last = false;                 // its answer is the task's
    const JobRequest* request = nullptr;  // with the part's text; until the next call
  };

  // `task` of `book` splits, and its prompt for the request was found too long. `orders` outlives it.
  // kTooLong when the pieces are too many, or the model has no room for one.
  static Result<LongTask> make(std::shared_ptr<const TaskBook> book, const Task& task,
                               const JobRequest& request, const WorkOrders& orders);

  // The next part to ask. Nothing when enough are in the air (kPartsAtOnceMax, capacity.h), when their
  // answers are needed first, or when it is over.
  std::optional<Part> next();

  // What came of a part; in any order. An error ends the task, with the number of the piece.
  void take(uint32_t number, const TaskResult& result);

  // Once all is there. Usage, prefill and decode times are sums over the parts; the source is kModel if the
  // model was asked for one of them. The facts of task and model are there, worker and total time are not.
  const std::optional<TaskResult>& outcome() const { return outcome_; }

  // The model worked on a part of it.
  bool has_begun() const { return begun_; }
  // No part of it was an answer that no cache should build on: a refusal, a repetition.
  bool is_sound() const { return sound_; }
  const std::shared_ptr<const TaskBook>& book() const { return book_; }

 private:
  struct Level {
    bool reduces = false;
    bool is_last = false;
    uint32_t first_number = 0;
    std::vector<std::string> texts;
    std::vector<std::optional<std::string>> answers;
    size_t n_asked = 0;
    size_t n_open = 0;
  };

  LongTask(std::shared_ptr<const TaskBook> book, const Task& task, const WorkOrders& orders)
      : book_(std::move(book)), task_(&task), orders_(&orders) {}

  const Task& part_task(bool reduces) const;
  Result<void> make_pieces(const JobRequest& request);
  void finish_level();
  void begin_level(std::vector<std::string> texts, bool reduces, bool is_last);
  Result<void> reduce(std::vector<std::string> answers);
  void finish(TaskResult result);
  std::string place_of(uint32_t number) const;

  std::shared_ptr<const TaskBook> book_;
  const Task* task_;
  const WorkOrders* orders_;
  JobRequest asked_;     // as the job has it, without its text: for the last part
  JobRequest internal_;  // the same without the job's settings, which are for the answer that it gets
  size_t n_pieces_ = 0, n_levels_ = 0, n_in_air_ = 0;
  Level level_;
  std::vector<WeightedLabel> labels_;  // of the pieces, for a mean
  TaskResult sums_;
  bool begun_ = false, sound_ = true;
  std::optional<TaskResult> outcome_;
};

}  // namespace tandem
