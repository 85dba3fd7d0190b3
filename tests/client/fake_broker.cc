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
  for (const SubmitItem& item : submit.items) ++n_submitted[item.id];
  if (ignored_submits > 0) {
    --ignored_submits;
    return;
  }
  Accepted accepted;
  accepted.request = submit.request;
  const bool full = full_answers > 0;
  if (full) --full_answers;
  for (const SubmitItem& item : submit.items) {
    AcceptedItem& out = accepted.items.emplace_back();
    out.id = item.id;
    out.state = JobState::kReady;
    if (full || refuse_with) {
      out.state = JobState::kUnknown;
      out.error = refuse_with.value_or(Error{ErrorCode::kFull, "expected room, found none"});
      continue;
    }
    const auto [at, added] = jobs_.try_emplace(item.id, Job{submit.client, {}, {}});
    if (!added) {
      if (at->second.result) out.state = JobState::kDone;
      continue;
    }
  }
  (void)submit_->send(peer, accepted);
  for (size_t i = 0; i < submit.items.size(); ++i) {
    if (!accepted.items[i].error.text.empty()) continue;
    Job& job = jobs_[submit.items[i].id];
    if (job.result) continue;
    if (hold) {
      held_[submit.items[i].id] = submit.items[i].payload;
    } else {
      answer(submit.items[i].id, job, submit.items[i].payload);
    }
  }
}

void FakeBroker::answer(const JobId& id, Job& job, const std::string& payload) {
  const auto request = decode_job_request(payload);
  TANDEM_ASSERT(request, "the client sends requests that can be read");
  job.result = encode(fake_answer(*request));
  if (lose_results || !results_) return;
  ResultMessage message;
  message.worker = "fake";
  message.items.push_back({id, 1, {}, false, *job.result});
  for (int i = 0; i < (publish_twice ? 2 : 1); ++i) publish(job.client, message);
}

void FakeBroker::finish_held() {
  for (const auto& [id, payload] : std::exchange(held_, {})) answer(id, jobs_[id], payload);
}

void FakeBroker::on(const std::string& peer, const Fetch& fetch) {
  ++n_fetches;
  Fetched fetched;
  fetched.request = fetch.request;
  for (const JobId& id : fetch.ids) {
    FetchedItem& item = fetched.items.emplace_back();
    item.id = id;
    const auto at = jobs_.find(id);
    if (forget || at == jobs_.end()) continue;
    item.state = at->second.result ? JobState::kDone : JobState::kReady;
    if (!at->second.error.text.empty()) item.state = JobState::kFailed;
    item.error = at->second.error;
    item.payload = at->second.result.value_or("");
    item.attempt = 1;
  }
  (void)submit_->send(peer, fetched);
}

void FakeBroker::on(const std::string&, const Cancel& cancel) {
  for (const JobId& id : cancel.ids) {
    const auto at = jobs_.find(id);
    if (at == jobs_.end()) continue;
    ++n_cancelled;
    held_.erase(id);
    ResultMessage message;
    at->second.error = {ErrorCode::kCancelled, "cancelled by its client"};
    message.items.push_back({id, 0, at->second.error, false, ""});
    publish(at->second.client, message);
  }
}

void FakeBroker::on(const std::string& peer, const Status& status) {
  StatusReply reply;
  reply.request = status.request;
  reply.accepted_total = jobs_.size();
  (void)submit_->send(peer, reply);
}

}  // namespace tandem::testing
