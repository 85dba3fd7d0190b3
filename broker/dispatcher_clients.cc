// What clients say: Submit, Fetch, Cancel, Status.

#include <algorithm>
#include <string_view>
#include <utility>

#include "broker/dispatcher.h"
#include "shared/base/limits.h"
#include "shared/protocol/frames.h"

namespace tandem::broker {
namespace {

// What an accepted fact takes in the journal, rather too much than too little: names and trees besides the
// payload, and what is longer than half a page has pages of its own.
uint64_t journal_bytes(size_t payload_bytes) {
  constexpr uint64_t kPage = 4096;
  const uint64_t n_bytes = payload_bytes + 256;
  return n_bytes < kPage / 2 ? n_bytes : (n_bytes + kPage) / kPage * kPage;
}

// The name becomes a topic, "<client>/", and a topic is found by its beginning.
Result<void> check_client_name(std::string_view name) {
  const auto is_bad = [](char c) { return c == '/' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (name.empty() || name.size() > limits::kNameBytesMax || std::any_of(name.begin(), name.end(), is_bad)) {
    return fail(ErrorCode::kInvalid, "client: expected a name of 1 to " +
                                         std::to_string(limits::kNameBytesMax) +
                                         " bytes without '/' or control characters, found " +
                                         std::to_string(name.size()) + " bytes");
  }
  return {};
}

AcceptedItem refused(const JobId& id, ErrorCode code, std::string text) {
  return {id, JobState::kUnknown, {code, std::move(text)}};
}

}  // namespace

void Dispatcher::hear(Turn& turn, const Address& from, Submit message) {
  if (auto checked = check_client_name(message.client); !checked) {
    return turn.say(from, Refused{message.request, std::move(checked).error()});
  }
  Accepted answer{message.request, {}};
  answer.items.reserve(message.items.size());
  for (SubmitItem& item : message.items)
    answer.items.push_back(accept(turn, message.client, std::move(item)));
  turn.say(from, std::move(answer));
}

AcceptedItem Dispatcher::accept(Turn& turn, const std::string& client, SubmitItem item) {
  // The id is the key: a client that repeats itself learns how far the job is, and nothing else happens.
  if (const JobRecord* known = jobs_.find(item.id)) return {item.id, known->state, {}};
  if (const FinishedRecord* known = sweep_.find(item.id)) return {item.id, known->state, {}};

  if (item.payload.size() > limits::kPayloadBytesMax) {
    return refused(item.id, ErrorCode::kTooLong,
                   "payload: expected " + std::to_string(limits::kPayloadBytesMax) +
                       " bytes at most, found " + std::to_string(item.payload.size()));
  }
  if (item.attempts_max > limits::kAttemptsMax) {
    return refused(item.id, ErrorCode::kInvalid,
                   "attempts_max: expected " + std::to_string(limits::kAttemptsMax) + " at most, found " +
                       std::to_string(item.attempts_max));
  }
  const uint64_t n_bytes = journal_bytes(item.payload.size());
  if (n_bytes > turn.at.submit_room_bytes) {
    return refused(
        item.id, ErrorCode::kFull,
        "the broker's journal is full up to what it keeps free for results; retry after some seconds");
  }
  turn.at.submit_room_bytes -= n_bytes;

  JobRecord record;
  record.sequence = next_sequence_++;
  record.id = item.id;
  record.client = client;
  record.route = item.route;
  record.cost = item.cost;
  record.attempts_max = item.attempts_max == 0 ? config_.attempts_max : item.attempts_max;
  record.payload_bytes = item.payload.size();
  record.accepted_ms = turn.at.wall_ms;
  ready_.push(client, record.sequence, record.cost);
  ++counters_.accepted;
  turn.plan.facts.accepted.push_back({record.sequence, record.id, client, record.route, record.cost,
                                      record.attempts_max, record.accepted_ms, std::move(item.payload)});
  jobs_.add(std::move(record));
  return {item.id, JobState::kReady, {}};
}

void Dispatcher::hear(Turn& turn, const Address& from, const Fetch& message) {
  Fetched answer{message.request, {}};
  std::vector<Sequence> bodies;
  for (const JobId& id : message.ids) {
    FetchedItem item;
    item.id = id;
    Sequence body = 0;
    if (const JobRecord* job = jobs_.find(id)) {
      item.state = job->state;
      item.attempt = job->attempt;
    } else if (const FinishedRecord* finished = sweep_.find(id)) {
      item.state = finished->state;
      item.attempt = finished->attempt;
      body = finished->finished;
    }
    answer.items.push_back(std::move(item));
    bodies.push_back(body);
  }
  turn.plan.speeches.push_back({from, std::move(answer), std::move(bodies)});
}

// Answered with Accepted: each job's state after this. A job that has its outcome already keeps it.
void Dispatcher::hear(Turn& turn, const Address& from, const Cancel& message) {
  Accepted answer{message.request, {}};
  for (const JobId& id : message.ids) {
    if (const FinishedRecord* finished = sweep_.find(id)) {
      answer.items.push_back({id, finished->state, {}});
      continue;
    }
    JobRecord* record = jobs_.find(id);
    if (record == nullptr) {
      answer.items.push_back(refused(id, ErrorCode::kNotFound, "no job of that id"));
      continue;
    }
    FinishedFact outcome;
    outcome.attempt = record->attempt;
    outcome.state = JobState::kFailed;
    outcome.error = {ErrorCode::kCancelled, "cancelled by a client"};
    if (const Lease* lease = leases_.find(record->sequence)) {
      if (const Worker* worker = workers_.by_name(lease->worker)) {
        turn.say({Door::kWork, worker->peer}, Cancel{0, {id}});
      }
      end_lease(*record);
    } else {
      ready_.remove(record->client, record->sequence);
    }
    finish(turn, *record, std::move(outcome));
    answer.items.push_back({id, JobState::kFailed, {}});
  }
  turn.say(from, std::move(answer));
}

void Dispatcher::hear(Turn& turn, const Address& from, const Status& message) {
  StatusReply reply;
  reply.request = message.request;
  reply.ready = ready_.size();
  reply.leased = leases_.size();
  reply.finished_kept = sweep_.size();
  reply.accepted_total = counters_.accepted;
  reply.finished_total = counters_.finished;
  reply.failed_total = counters_.failed;
  reply.redelivered_total = counters_.redelivered;
  reply.uptime_ms = static_cast<uint64_t>((turn.at.time - started_at_) / milliseconds(1));
  for (const auto& [name, worker] : workers_.all()) {
    if (reply.workers.size() == limits::kItemsPerMessageMax) break;
    reply.workers.push_back(
        {name, worker.host, worker.model, worker.credit_max, worker.leased, worker.finished});
  }
  const size_t n_jobs_max = std::min<size_t>(message.jobs_max, limits::kItemsPerMessageMax);
  for (const auto& [sequence, record] : jobs_.in_order()) {
    if (reply.jobs.size() == n_jobs_max) break;
    const Lease* lease = leases_.find(sequence);
    const auto age_ms = static_cast<uint64_t>(std::max<int64_t>(turn.at.wall_ms - record.accepted_ms, 0));
    reply.jobs.push_back({record.id, record.client, record.state, record.attempt, age_ms,
                          lease == nullptr ? std::string() : lease->worker});
  }
  turn.say(from, std::move(reply));
}

void Dispatcher::refuse(Turn& turn, const Address& from, uint64_t request, const Message& message) {
  ++counters_.misplaced;
  turn.say(from, Refused{request,
                         {ErrorCode::kInvalid, "expected submit, fetch, cancel or status, found " +
                                                   std::string(kind_name(message))}});
}

}  // namespace tandem::broker
