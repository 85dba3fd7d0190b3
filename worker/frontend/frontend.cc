#include "worker/frontend/frontend.h"

#include <utility>

#include "shared/base/assert.h"

namespace tandem {
namespace {

bool may_be_cached(const Task& task, const JobRequest& request) {
  return task.cache_exact && request.accept != AcceptSource::kModel;
}

}  // namespace

Frontend::Frontend(Parts parts, const Clock& clock, Inbox<ToFrontend>& inbox, Inbox<ToInference>& inference,
                   Inbox<FromFrontend>& session)
    : worker_(std::move(parts.worker)),
      orders_(std::move(parts.model)),
      tasks_(std::move(parts.tasks)),
      cache_(std::move(parts.cache)),
      clock_(clock),
      inbox_(inbox),
      inference_(inference),
      session_(session) {}

void Frontend::run() {
  while (true) {
    std::vector<ToFrontend> messages = inbox_.wait();
    if (messages.empty()) return;
    turn(std::move(messages));
  }
}

void Frontend::turn(std::vector<ToFrontend> messages) {
  refresh_tasks();
  for (ToFrontend& message : messages) {
    std::visit([this](auto& one) { hear(std::move(one)); }, message);
  }
  // After the answers are on their way: nobody waits for the disk.
  if (cache_ && std::exchange(unwritten_, false)) {
    if (auto written = cache_->flush(); !written) log_.warn("answers not cached: {}", written.error().text);
  }
}

void Frontend::refresh_tasks() {
  const Result<bool> changed = tasks_.refresh(clock_.now());
  if (!changed) {
    log_.error("task files are broken, the old ones stay in use: {}", changed.error().text);
  } else if (*changed) {
    orders_.forget_tasks();
    prime_tasks();
    log_.info("task files read again tasks={}", tasks_.book()->tasks().size());
  }
}

void Frontend::prime_tasks() {
  for (engine::Tokens& prefix : orders_.fixed_prefixes(*tasks_.book())) {
    inference_.push(PrimePrefix{std::move(prefix)});
  }
}

void Frontend::hear(LeasedJob leased) {
  // The broker may lend a job again that it believed lost. It is in work already: only the number changes.
  if (const auto known = jobs_.find(leased.id); known != jobs_.end()) {
    known->second.attempt = leased.attempt;
    return;
  }
  if (leased.expires <= clock_.now()) return tell_expired({leased.id, leased.attempt});
  const Hash128 payload = hash128(leased.payload, hash_seed_);
  if (answer_known(leased, payload)) return;
  auto request = decode_job_request(leased.payload);
  if (!request) {
    log_.warn("job unreadable job={} {}", leased.id.to_string(), request.error().text);
    session_.push(ResultItem{.id = leased.id,
                             .attempt = leased.attempt,
                             .error = std::move(request).error(),
                             .retry = false,
                             .payload = {}});
    return;
  }
  ActiveJob& job = jobs_[leased.id];
  job.id = leased.id;
  job.attempt = leased.attempt;
  job.arrived = leased.arrived;
  job.request = std::move(*request);
  job.urgency = urgency_of(job.request, leased.urgency);
  job.n_open = job.request.tasks.size();
  job.results.resize(job.n_open);
  const auto n_tasks = static_cast<uint32_t>(job.n_open);
  if (log_.tells_debug()) {
    log_.debug("job begun job={} attempt={} tasks={} bytes={}", leased.id.to_string(), job.attempt, n_tasks,
               job.request.text.size());
  }
  KnownRequests::Known known{tasks_.book(), {}};
  const bool may_repeat = cache_ && !job.request.stream && job.request.accept != AcceptSource::kModel;
  // The last task may end the job, and `job` with it.
  for (uint32_t index = 0; index < n_tasks; ++index) {
    const auto begun = begin_task(job, index);
    if (begun.task != nullptr && begun.task->cache_exact) known.answers.emplace_back(begun.task, begun.key);
  }
  if (may_repeat && known.answers.size() == n_tasks) known_.remember(payload, std::move(known));
}

bool Frontend::answer_known(const LeasedJob& leased, const Hash128& payload) {
  const KnownRequests::Known* known = cache_ ? known_.find(payload) : nullptr;
  if (known == nullptr || known->book != tasks_.book()) return false;
  JobResult all;
  for (const auto& [task, key] : known->answers) {
    auto result = look_up(*task, key);
    if (!result) return false;
    sign(*result, leased.arrived);
    all.tasks.push_back(std::move(*result));
  }
  tell_result({leased.id, leased.attempt}, leased.arrived, all);
  return true;
}

Frontend::Begun Frontend::begin_task(ActiveJob& job, uint32_t index) {
  const JobRequest& request = job.request;
  const std::string& name = request.tasks[index];
  Waiter waiter{.job = job.id, .task_index = index};
  std::optional<Hash128> long_key;
  if (const auto task = tasks_.book()->find(name)) {
    long_key = orders_.long_key(**task, request);
    if (auto cached =
            long_key && may_be_cached(**task, request) ? look_up(**task, *long_key) : std::nullopt) {
      waiter.stream = request.stream && cached->text;
      if (waiter.stream) stream(waiter, cached->text->text);
      finish_task(job, index, std::move(*cached));
      return {*task, *long_key};
    }
  }
  auto order = orders_.make(tasks_.book(), name, request);
  if (!order) {
    TaskResult result;
    result.task = name;
    result.error = std::move(order).error();
    finish_task(job, index, std::move(result));
    return {};
  }
  if (order->prompt.too_long) {
    const Begun begun{long_key ? order->task : nullptr, long_key.value_or(Hash128{})};
    begin_long_task(job, index, *order);
    return begun;
  }
  const Begun begun{order->prompt.cut ? nullptr : order->task, order->key};
  waiter.stream = request.stream && order->is_streamable();
  if (auto cached = ask(job, std::move(*order), waiter)) finish_task(job, index, std::move(*cached));
  return begun;
}

std::optional<TaskResult> Frontend::ask(const ActiveJob& job, WorkOrder order, Waiter waiter) {
  waiter.cut = order.prompt.cut;
  if (may_be_cached(*order.task, job.request)) {
    if (auto cached = look_up(*order.task, order.key)) {
      cached->cut = waiter.cut;
      if (waiter.stream) stream(waiter, cached->text->text);
      return cached;
    }
  }
  const bool store = job.request.store && order.task->cache_exact;
  if (Flight* flight = flights_.find(order.key)) {
    if (waiter.stream) stream(waiter, flight->published);
    flight->waiters.push_back(waiter);
    flight->store |= store;
    if (job.urgency == Urgency::kInteractive && flight->urgency == Urgency::kBulk) {
      flight->urgency = Urgency::kInteractive;
      inference_.push(HurrySequence{flight->id});
    }
    return std::nullopt;
  }
  Flight& flight = flights_.start(std::move(order));
  flight.waiters.push_back(waiter);
  flight.store = store;
  flight.urgency = job.urgency;
  inference_.push(flight.order.to_sequence(flight.id, job.arrived, waiter.stream, job.urgency));
  return std::nullopt;
}

std::optional<TaskResult> Frontend::look_up(const Task& task, const Hash128& key) {
  if (!cache_) return std::nullopt;
  auto found = cache_->find(key);
  if (!found) {
    log_.warn("cache not read: {}", found.error().text);
    return std::nullopt;
  }
  if (!*found) return std::nullopt;
  TaskResult& cached = **found;
  TaskResult result = orders_.blank_result(task);
  if (cached.pieces > 0 && task.split) result.task_fingerprint = task.split->fingerprint;
  result.label = std::move(cached.label);
  result.text = std::move(cached.text);
  result.source = AnswerSource::kExact;
  result.pieces = cached.pieces;
  result.usage = cached.usage;
  result.usage.computed_tokens = 0;  // that is the point of it
  const bool is_whole = result.label.has_value() != result.text.has_value() &&
                        result.text.has_value() == (task.answer == AnswerKind::kText);
  return is_whole ? std::optional(std::move(result)) : std::nullopt;
}

// ---- texts that are too long for one prompt --------------------------------------------------------------

void Frontend::begin_long_task(ActiveJob& job, uint32_t index, const WorkOrder& order) {
  auto made = LongTask::make(order.book, *order.task, job.request, orders_);
  if (!made) {
    TaskResult result = orders_.blank_result(*order.task);
    result.error = std::move(made).error();
    return finish_task(job, index, std::move(result));
  }
  job.long_tasks.emplace(index, std::move(*made));
  go_on(job, index);
}

void Frontend::go_on(ActiveJob& job, uint32_t index) {
  LongTask& task = job.long_tasks.at(index);
  while (const std::optional<LongTask::Part> part = task.next()) {
    auto order = orders_.make(task.book(), part->task, *part->request);
    if (order && order->prompt.too_long) {
      order =
          fail(ErrorCode::kTooLong, "text: expected a part that fits into a prompt of task '" + part->task +
                                        "', found more tokens than its sentences have alone");
    }
    if (!order) {
      TaskResult result;
      result.error = std::move(order).error();
      task.take(part->number, result);
      continue;
    }
    const Waiter waiter{.job = job.id,
                        .task_index = index,
                        .stream = job.request.stream && part->is_last && order->is_streamable(),
                        .part = part->number};
    if (const auto cached = ask(job, std::move(*order), waiter)) task.take(part->number, *cached);
  }
  if (task.outcome()) finish_long_task(job, index);
}

void Frontend::finish_long_task(ActiveJob& job, uint32_t index) {
  const LongTask task = std::move(job.long_tasks.extract(index).mapped());
  for (const SequenceId sequence : flights_.leave(job.id, index)) inference_.push(CancelSequence{sequence});
  const TaskResult& result = *task.outcome();
  const std::string& name = job.request.tasks[index];
  const Task& asked = **task.book()->find(name);
  if (task.is_sound() && job.request.store && asked.cache_exact) {
    if (const auto key = orders_.long_key(asked, job.request))
      remember(*key, asked, result, job.request.cache_namespace);
  }
  finish_task(job, index, result);
}

// A part of a long text may be finished after its task: another part failed, or the text says the same twice.
void Frontend::take_part(const Waiter& waiter, const TaskResult& result) {
  const auto job = jobs_.find(waiter.job);
  if (job == jobs_.end()) return;
  const auto task = job->second.long_tasks.find(waiter.task_index);
  if (task == job->second.long_tasks.end()) return;
  task->second.take(*waiter.part, result);
  go_on(job->second, waiter.task_index);
}

void Frontend::hear(const CancelledJob& cancelled) {
  if (jobs_.erase(cancelled.id) == 0) return;  // its result is on its way already
  drop_work(cancelled.id);
  log_.debug("job cancelled job={}", cancelled.id.to_string());
}

void Frontend::drop_work(const JobId& id) {
  for (const SequenceId sequence : flights_.leave(id)) inference_.push(CancelSequence{sequence});
}

// Decided here, by what the inference has told: it may have begun a moment ago, and then a step or two are
// lost with the cancel. Nobody waits for anybody, and a job is here or it is not.
std::optional<HeldLease> Frontend::take_back(const JobId& id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return std::nullopt;  // its result is on its way already
  const ActiveJob& job = found->second;
  if (job.n_open < job.results.size() || flights_.has_begun(id)) return std::nullopt;
  for (const auto& [index, task] : job.long_tasks) {
    if (task.has_begun()) return std::nullopt;
  }
  const HeldLease lease{id, job.attempt};
  jobs_.erase(found);
  drop_work(id);
  return lease;
}

void Frontend::hear(const RecalledJob& recalled) {
  const std::optional<HeldLease> lease = take_back(recalled.id);
  if (!lease) return;
  session_.push(ReturnedJob{lease->id, lease->attempt});
  log_.debug("job given back job={} attempt={}", lease->id.to_string(), lease->attempt);
}

void Frontend::hear(const OverdueJob& overdue) {
  if (const std::optional<HeldLease> lease = take_back(overdue.id)) tell_expired(*lease);
}

void Frontend::tell_expired(const HeldLease& lease) {
  log_.debug("job expired job={} attempt={}", lease.id.to_string(), lease.attempt);
  session_.push(ResultItem{
      .id = lease.id,
      .attempt = lease.attempt,
      .error = {ErrorCode::kExpired, "expected a job to be begun within its time to live, found that over"},
      .retry = false,
      .payload = {}});
}

void Frontend::hear(const SequencesBegan& began) {
  for (const SequenceId id : began.ids) {
    if (Flight* flight = flights_.find(id)) flight->begun = true;
  }
}

void Frontend::hear(const SequenceDelta& delta) {
  Flight* flight = flights_.find(delta.id);
  if (flight == nullptr) return;  // cancelled a moment ago
  // White space in an answer with a shape is a part of the shape.
  flight->published += flight->order.constraint ? delta.text : flight->trim.push(delta.text);
  for (Waiter& waiter : flight->waiters) {
    if (waiter.stream) stream(waiter, flight->published);
  }
}

void Frontend::hear(const SequenceDone& done) {
  std::optional<Flight> flight = flights_.end(done.id);
  if (!flight) return;  // cancelled a moment ago

  TaskResult result;
  if (!done.error.text.empty()) {
    result = orders_.blank_result(*flight->order.task);
    result.error = done.error;
  } else {
    result = orders_.result_of(flight->order, done);
    if (flight->store) {
      remember(flight->order.key, *flight->order.task, result, flight->order.cache_namespace);
    }
  }
  for (Waiter& waiter : flight->waiters) {
    const auto job = jobs_.find(waiter.job);
    TANDEM_ASSERT(job != jobs_.end() || waiter.part, "a cancelled job left its flights");
    result.cut = waiter.cut;
    if (job != jobs_.end() && waiter.stream && result.text) stream(waiter, result.text->text);
    if (waiter.part) {
      take_part(waiter, result);
      continue;
    }
    finish_task(job->second, waiter.task_index, result);
  }
}

void Frontend::remember(const Hash128& key, const Task& task, const TaskResult& result,
                        std::string_view cache_namespace) {
  if (!cache_ || !worth_caching(result)) return;
  unwritten_ = true;
  auto stored = cache_->store(key, result, task.cache_ttl, cache_namespace);
  if (!stored) log_.warn("answer not cached: {}", stored.error().text);
}

// Tells the waiter what it has not heard of `text`, the answer so far: all of it to one that came late.
void Frontend::stream(Waiter& waiter, const std::string& text) {
  if (waiter.n_streamed >= text.size()) return;
  JobPart part;
  part.task_index = waiter.task_index;
  part.delta = text.substr(waiter.n_streamed);
  waiter.n_streamed = text.size();
  tell_part(jobs_.at(waiter.job), part);
}

void Frontend::tell_part(const ActiveJob& job, const JobPart& part) {
  session_.push(PartialItem{.id = job.id, .attempt = job.attempt, .payload = encode(part)});
}

// After the job's last task, `job` is gone.
void Frontend::finish_task(ActiveJob& job, uint32_t index, TaskResult result) {
  sign(result, job.arrived);
  job.results[index] = std::move(result);
  if (--job.n_open > 0) {
    JobPart part;
    part.task_index = index;
    part.result = job.results[index];
    return tell_part(job, part);
  }

  JobResult all;
  for (std::optional<TaskResult>& one : job.results) all.tasks.push_back(std::move(*one));
  tell_result({job.id, job.attempt}, job.arrived, all);
  jobs_.erase(job.id);
}

void Frontend::sign(TaskResult& result, TimePoint arrived) const {
  result.worker = worker_;
  result.timings.total_us = static_cast<uint64_t>(to_us(clock_.now() - arrived));
}

void Frontend::tell_result(const HeldLease& job, TimePoint arrived, const JobResult& result) {
  if (log_.tells_debug()) {
    log_.debug("job done job={} attempt={} us={}", job.id.to_string(), job.attempt,
               to_us(clock_.now() - arrived));
  }
  session_.push(ResultItem{
      .id = job.id, .attempt = job.attempt, .error = {}, .retry = false, .payload = encode(result)});
}

}  // namespace tandem
