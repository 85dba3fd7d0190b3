// The middle of a worker: from jobs to work for the model, from what the model did to results.
//
// All tasks of a job start at once, and each is published the moment it is finished, so that a label is out
// while a reply is still being written. The job's result follows when all are there.

#pragma once

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "shared/base/inbox.h"
#include "shared/base/log.h"
#include "shared/protocol/job.h"
#include "worker/cache/answer_cache.h"
#include "worker/frontend/flights.h"
#include "worker/frontend/known_requests.h"
#include "worker/frontend/long_task.h"
#include "worker/frontend/messages.h"
#include "worker/frontend/task_folder.h"
#include "worker/frontend/work_order.h"

namespace tandem {

// Belongs to the frontend thread, the one that calls run() or turn(). Keeps every job it was given until it
// has told its result, has given it back, or was told that it is cancelled.
class Frontend {
 public:
  // What it works with. `cache` may be empty: then every answer comes from the model.
  struct Parts {
    std::string worker;  // its name, for results
    ModelFacts model;
    TaskFolder tasks;
    std::unique_ptr<AnswerCache> cache;
  };

  // Clock and inboxes outlive it. `inbox` is heard, the others are told.
  Frontend(Parts parts, const Clock& clock, Inbox<ToFrontend>& inbox, Inbox<ToInference>& inference,
           Inbox<FromFrontend>& session);

  // Tells the inference what the tasks' prompts begin with, so that it is computed before a job needs it. For
  // the start; new task files are told of by themselves.
  void prime_tasks();

  // Until the inbox is closed.
  void run();

  // One round: looks at the task files, handles the messages, writes the cache.
  void turn(std::vector<ToFrontend> messages);

 private:
  struct ActiveJob {
    JobId id;
    uint32_t attempt = 1;
    TimePoint arrived;
    Urgency urgency = Urgency::kBulk;
    JobRequest request;
    std::vector<std::optional<TaskResult>> results;
    size_t n_open = 0;                        // tasks without a result
    std::map<uint32_t, LongTask> long_tasks;  // of these, by their place, those whose text is done in parts
  };

  void hear(LeasedJob leased);
  void hear(const CancelledJob& cancelled);
  void hear(const RecalledJob& recalled);
  void hear(const OverdueJob& overdue);
  void hear(const SequencesBegan& began);
  void hear(const SequenceDelta& delta);
  void hear(const SequenceDone& done);

  void refresh_tasks();
  // Takes out the job if nothing of it was begun, or told: its lease, to be given back or answered. Nothing
  // when it is begun, finished or unknown.
  std::optional<HeldLease> take_back(const JobId& id);
  void drop_work(const JobId& id);
  void tell_expired(const HeldLease& lease);
  // Whether the job could be answered without reading it.
  bool answer_known(const LeasedJob& leased, const Hash128& payload);
  struct Begun {
    const Task* task = nullptr;  // null: there is none, the job does not suit it, or its text was cut
    Hash128 key;
  };
  Begun begin_task(ActiveJob& job, uint32_t index);
  void begin_long_task(ActiveJob& job, uint32_t index, const WorkOrder& order);
  // Asks for the next parts; with the last answer, the task is finished.
  void go_on(ActiveJob& job, uint32_t index);
  void finish_long_task(ActiveJob& job, uint32_t index);
  void take_part(const Waiter& waiter, const TaskResult& result);
  // The answer, if it is known; else the waiter waits for a flight.
  std::optional<TaskResult> ask(const ActiveJob& job, WorkOrder order, Waiter waiter);
  std::optional<TaskResult> look_up(const Task& task, const Hash128& key);
  void remember(const Hash128& key, const Task& task, const TaskResult& result,
                std::string_view cache_namespace);

  void stream(Waiter& waiter, const std::string& text);
  void tell_part(const ActiveJob& job, const JobPart& part);
  void finish_task(ActiveJob& job, uint32_t index, TaskResult result);
  void sign(TaskResult& result, TimePoint arrived) const;
  void tell_result(const HeldLease& job, TimePoint arrived, const JobResult& result);

  std::string worker_;
  WorkOrders orders_;
  TaskFolder tasks_;
  std::unique_ptr<AnswerCache> cache_;
  const Clock& clock_;
  Inbox<ToFrontend>& inbox_;
  Inbox<ToInference>& inference_;
  Inbox<FromFrontend>& session_;
  Log log_{"worker.frontend"};

  std::unordered_map<JobId, ActiveJob> jobs_;
  Flights flights_;
  KnownRequests known_{65'536};
  const uint64_t hash_seed_ = std::random_device{}();  // so that nobody can make two requests meet
  bool unwritten_ = false;                             // answers were stored in this round
};

}  // namespace tandem
