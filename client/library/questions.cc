// The questions of a Client, in terms of ask().

#include "client/include/tandem/client.h"

namespace tandem {
namespace {

template <typename Answer>
Result<Answer> expect(Result<Message> answer) {
  if (!answer) return fail(std::move(answer).error());
  if (auto* found = std::get_if<Answer>(&*answer)) return std::move(*found);
  return fail(ErrorCode::kCorrupt, "the broker's answer is of another kind than the question");
}

Result<std::vector<AcceptedItem>> items(Result<Accepted> accepted) {
  if (!accepted) return fail(std::move(accepted).error());
  return std::move(accepted->items);
}
Result<std::vector<FetchedItem>> items(Result<Fetched> fetched) {
  if (!fetched) return fail(std::move(fetched).error());
  return std::move(fetched->items);
}

ErrorCode code_of(JobState state) {
  switch (state) {
    case JobState::kDead:
      return ErrorCode::kAttempts;
    case JobState::kExpired:
      return ErrorCode::kExpired;
    case JobState::kCancelled:
      return ErrorCode::kCancelled;
    case JobState::kUnknown:
      return ErrorCode::kNotFound;
    default:
      return ErrorCode::kInternal;
  }
}

}  // namespace

Result<StatusReply> Client::status(Duration at_most) {
  return expect<StatusReply>(ask(Status{}, at_most));
}

Result<std::vector<FetchedItem>> Client::fetch(const std::vector<JobId>& ids, Duration at_most) {
  return items(expect<Fetched>(ask(Fetch{0, ids}, at_most)));
}

Result<std::vector<FetchedItem>> Client::collect(uint32_t items_max, Duration at_most) {
  return items(expect<Fetched>(ask(Collect{0, name(), items_max}, at_most)));
}

Result<std::vector<JobStatus>> Client::list(const List& which, Duration at_most) {
  TANDEM_ASSIGN(Listed listed, expect<Listed>(ask(which, at_most)));
  return std::move(listed.jobs);
}

Result<Inspected> Client::inspect(const JobId& id, Duration at_most) {
  return expect<Inspected>(ask(Inspect{0, id}, at_most));
}

Result<std::vector<AcceptedItem>> Client::cancel(const std::vector<JobId>& ids, Duration at_most) {
  return items(expect<Accepted>(ask(Cancel{0, ids}, at_most)));
}

Result<std::vector<AcceptedItem>> Client::revive(const std::vector<JobId>& ids, Duration at_most) {
  return items(expect<Accepted>(ask(Revive{0, ids}, at_most)));
}

Result<std::vector<AcceptedItem>> Client::forget(const std::vector<JobId>& ids, Duration at_most) {
  return items(expect<Accepted>(ask(Forget{0, ids}, at_most)));
}

Result<StatusReply> Client::drain(const std::string& name, bool drain, Duration at_most) {
  return expect<StatusReply>(ask(Drain{0, name, drain}, at_most));
}

Result<JobResult> outcome_of(const FetchedItem& item) {
  if (item.state == JobState::kDone) return decode_job_result(item.payload);
  if (!item.error.text.empty()) return fail(item.error);
  return fail(code_of(item.state), "the job is " + std::string(to_string(item.state)));
}

}  // namespace tandem
