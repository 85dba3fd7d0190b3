#include "tests/client/fake_broker.h"

#include "shared/base/assert.h"
#include "shared/net/wait.h"

namespace tandem::testing {

JobRequest fake_request(const std::string& text) {
  JobRequest request;
  request.text = text;
  request.tasks = {"echo"};
  return request;
}

JobResult fake_answer(const JobRequest& request) {
  JobResult result;
  for (const std::string& name : request.tasks) {
    TaskResult task;
    task.task = name;
    if (request.text == "fail") {
      task.error = Error{ErrorCode::kTooLong, "expected less, found more"};
    } else {
      task.text = TextAnswer{name + ": " + request.text, "stop"};
      task.usage.computed_tokens = 10;
      task.source = request.text.starts_with("known") ? AnswerSource::kExact : AnswerSource::kModel;
    }
    result.tasks.push_back(task);
  }
  return result;
}

ClientOptions FakeBroker::client_options() const {
  ClientOptions options;
  options.submit_endpoint = "ipc://" + (folder_ / "submit").string();
  options.results_endpoint = "ipc://" + (folder_ / "results-out").string();
  options.accept_timeout = milliseconds(100);
  return options;
}

FakeBroker::FakeBroker(std::filesystem::path folder) : folder_(std::move(folder)) {
  WorkerStatus worker;
  worker.name = "null-1";
  worker.host = "here";
  worker.model = "0123456789abcdef";
  worker.credit_max = 8;
  worker.cost_max = 1000;
  status.workers.push_back(worker);
  start();
}

void FakeBroker::start() {
  auto submit = RouterSocket::bind(context_, client_options().submit_endpoint);
  TANDEM_ASSERT(submit, "tests can bind a socket in their folder");
  submit_.emplace(std::move(*submit));
  auto results = PublisherSocket::bind(context_, client_options().results_endpoint);
  TANDEM_ASSERT(results, "tests can bind a socket in their folder");
  results_.emplace(std::move(*results));
}

void FakeBroker::stop() {
  submit_.reset();
  results_.reset();
}

void FakeBroker::turn() {
  if (!submit_) return;
  while (auto received = submit_->receive()) {
    TANDEM_ASSERT(received->message, "the client sends messages that can be read");
    if (refuse_all) {
      (void)submit_->send(received->peer, *refuse_all);
      continue;
    }
    std::visit(
        [&](const auto& message) {
          if constexpr (requires { on(received->peer, message); }) on(received->peer, message);
        },
        *received->message);
  }
}

void FakeBroker::run(const std::atomic<bool>& done) {
  while (!done) {
    wait({*submit_}, milliseconds(5));
    turn();
  }
}

void FakeBroker::publish(const std::string& client, const Message& message) {
  (void)results_->publish(client + "/", message);
}

void FakeBroker::on(const std::string& peer, const Submit& submit) {
  ++n_submit_messages;
  for (const SubmitItem& item : submit.items) {
    ++n_submitted[item.id];
    items.push_back(item);
  }
  if (ignored_submits > 0) {
    --ignored_submits;
    return;
  }
  Accepted accepted;
  accepted.request = submit.request;
  const bool full = full_answers > 0;
  if (full) --full_answers;
  std::vector<JobId> added;
  for (const SubmitItem& item : submit.items) {
    AcceptedItem& out = accepted.items.emplace_back();
    out.id = item.id;
    if (full || refuse_with) {
      out.state = JobState::kUnknown;
      out.error = refuse_with.value_or(Error{ErrorCode::kFull, "expected room, found none"});
      if (full) out.retry_after_ms = retry_after_ms;
      continue;
    }
    const auto [at, is_new] =
        jobs_.try_emplace(item.id, Job{submit.client, item, JobState::kReady, {}, {}, false});
    out.state = at->second.state;
    if (is_new) added.push_back(item.id);
  }
  (void)submit_->send(peer, accepted);
  for (const JobId& id : added) {
    if (hold) {
      held_.push_back(id);
    } else {
      answer(id, jobs_[id]);
    }
  }
}

void FakeBroker::answer(const JobId& id, Job& job) {
  if (is_finished(job.state)) return;
  if (end_with) return finish(id, job, end_with->first, end_with->second);
  const auto request = decode_job_request(job.item.payload);
  TANDEM_ASSERT(request, "the client sends requests that can be read");
  job.result = encode(fake_answer(*request));
  finish(id, job, JobState::kDone, {});
}

void FakeBroker::finish(const JobId& id, Job& job, JobState state, Error error) {
  job.state = state;
  job.error = std::move(error);
  finished_.push_back(id);
  if (lose_results || !results_) return;
  ResultMessage message;
  message.worker = "fake";
  message.items.push_back({id, 1, job.error, false, job.result});
  for (int i = 0; i < (publish_twice ? 2 : 1); ++i) publish(job.client, message);
}

void FakeBroker::finish_held() {
  for (const JobId& id : std::exchange(held_, {})) answer(id, jobs_[id]);
}

FetchedItem FakeBroker::fetched(const JobId& id) const {
  FetchedItem item;
  item.id = id;
  const auto at = jobs_.find(id);
  if (forget || at == jobs_.end()) return item;
  item.state = at->second.state;
  item.error = at->second.error;
  item.payload = at->second.result;
  item.attempt = 1;
  return item;
}

void FakeBroker::on(const std::string& peer, const Fetch& fetch) {
  ++n_fetches;
  Fetched answer;
  answer.request = fetch.request;
  for (const JobId& id : fetch.ids) answer.items.push_back(fetched(id));
  (void)submit_->send(peer, answer);
}

void FakeBroker::on(const std::string& peer, const Collect& collect) {
  Fetched answer;
  answer.request = collect.request;
  for (const JobId& id : finished_) {
    const auto at = jobs_.find(id);
    if (at == jobs_.end() || at->second.acknowledged || at->second.client != collect.client) continue;
    if (answer.items.size() < collect.items_max) answer.items.push_back(fetched(id));
  }
  (void)submit_->send(peer, answer);
}

void FakeBroker::on(const std::string&, const Acknowledge& acknowledge) {
  for (const JobId& id : acknowledge.ids) {
    acknowledged.push_back(id);
    if (const auto at = jobs_.find(id); at != jobs_.end()) at->second.acknowledged = true;
  }
}

void FakeBroker::on(const std::string& peer, const Cancel& cancel) {
  Accepted answer;
  answer.request = cancel.request;
  for (const JobId& id : cancel.ids) {
    AcceptedItem& item = answer.items.emplace_back();
    item.id = id;
    const auto at = jobs_.find(id);
    if (at == jobs_.end()) {
      item.state = JobState::kUnknown;
      item.error = {ErrorCode::kNotFound, "expected a job, found none of that id"};
      continue;
    }
    if (!is_finished(at->second.state)) {
      ++n_cancelled;
      std::erase(held_, id);
      finish(id, at->second, JobState::kCancelled, {ErrorCode::kCancelled, "cancelled by its client"});
    }
    item.state = at->second.state;
  }
  (void)submit_->send(peer, answer);
}

void FakeBroker::on(const std::string& peer, const Revive& revive) {
  Accepted answer;
  answer.request = revive.request;
  for (const JobId& id : revive.ids) {
    AcceptedItem& item = answer.items.emplace_back();
    item.id = id;
    const auto at = jobs_.find(id);
    if (at == jobs_.end() || at->second.state != JobState::kDead) {
      item.state = at == jobs_.end() ? JobState::kUnknown : at->second.state;
      item.error = {ErrorCode::kNotFound, "expected a dead job, found none of that id"};
      continue;
    }
    std::erase(finished_, id);
    at->second.state = JobState::kReady;
    at->second.error = {};
    held_.push_back(id);
  }
  (void)submit_->send(peer, answer);
}

void FakeBroker::on(const std::string& peer, const Forget& forgotten) {
  Accepted answer;
  answer.request = forgotten.request;
  for (const JobId& id : forgotten.ids) {
    AcceptedItem& item = answer.items.emplace_back();
    item.id = id;
    item.state = JobState::kUnknown;
    if (jobs_.erase(id) == 0) item.error = {ErrorCode::kNotFound, "expected a job, found none of that id"};
    std::erase(finished_, id);
  }
  (void)submit_->send(peer, answer);
}

StatusReply FakeBroker::reply(uint64_t request) const {
  StatusReply answer = status;
  answer.request = request;
  answer.accepted_total = jobs_.size();
  std::map<std::string, ClientStatus> clients;
  for (const auto& [id, job] : jobs_) {
    ClientStatus& client = clients[job.client];
    client.name = job.client;
    answer.ready += job.state == JobState::kReady && job.item.delay_ms == 0 ? 1 : 0;
    answer.delayed += job.state == JobState::kReady && job.item.delay_ms > 0 ? 1 : 0;
    answer.dead_kept += job.state == JobState::kDead ? 1 : 0;
    answer.finished_kept += is_finished(job.state) ? 1 : 0;
    client.unfinished += is_finished(job.state) ? 0 : 1;
    client.unfinished_bytes += is_finished(job.state) ? 0 : job.item.payload.size();
    client.unacknowledged += is_finished(job.state) && !job.acknowledged ? 1 : 0;
  }
  answer.finished_total = answer.finished_kept;
  for (auto& [name, client] : clients) answer.clients.push_back(client);
  return answer;
}

void FakeBroker::on(const std::string& peer, const Status& asked) {
  (void)submit_->send(peer, reply(asked.request));
}

JobStatus FakeBroker::status_of(const JobId& id, const Job& job, uint64_t place) const {
  JobStatus out;
  out.id = id;
  out.client = job.client;
  out.state = job.state;
  out.attempt = is_finished(job.state) ? 1 : 0;
  out.age_ms = 1500;
  out.urgency = job.item.urgency;
  out.priority = job.item.priority;
  out.cost = job.item.cost;
  out.payload_bytes = job.item.payload.size();
  out.delay_ms = job.item.delay_ms;
  out.ttl_ms = job.item.ttl_ms;
  out.place = place;
  return out;
}

void FakeBroker::on(const std::string& peer, const List& list) {
  Listed answer;
  answer.request = list.request;
  uint64_t place = 0;
  for (const auto& [id, job] : jobs_) {
    ++place;
    if (place <= list.after || answer.jobs.size() >= list.jobs_max) continue;
    if (!list.client.empty() && list.client != job.client) continue;
    if (list.dead ? job.state == JobState::kDead : !is_finished(job.state)) {
      answer.jobs.push_back(status_of(id, job, place));
    }
  }
  (void)submit_->send(peer, answer);
}

void FakeBroker::on(const std::string& peer, const Inspect& inspect) {
  Inspected answer;
  answer.request = inspect.request;
  answer.job.state = JobState::kUnknown;
  if (const auto at = jobs_.find(inspect.id); at != jobs_.end()) {
    answer.job = status_of(at->first, at->second, 1);
    answer.error = at->second.error;
    answer.asked = at->second.item.payload;
    answer.answered = at->second.result;
  }
  (void)submit_->send(peer, answer);
}

void FakeBroker::on(const std::string& peer, const Drain& drain) {
  bool found = false;
  for (WorkerStatus& worker : status.workers) {
    if (worker.name != drain.name && worker.host != drain.name) continue;
    worker.is_draining = drain.drain;
    found = true;
  }
  if (found) {
    (void)submit_->send(peer, reply(drain.request));
  } else {
    (void)submit_->send(peer,
                        Refused{drain.request,
                                {ErrorCode::kNotFound,
                                 "expected the name of a worker or of a host, found '" + drain.name + "'"}});
  }
}

}  // namespace tandem::testing
