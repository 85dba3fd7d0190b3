// What clients say: Submit, Fetch, Collect, Acknowledge, Cancel.

#include <algorithm>
#include <string_view>
#include <utility>

#include "broker/dispatcher.h"
#include "shared/base/limits.h"

namespace tandem::broker {
namespace {

constexpr uint32_t kJournalRetryMs = 2'000;

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

// What breaks a limit of the protocol. A message that came over a socket was checked when it was read.
Result<void> check(const SubmitItem& item) {
  const auto over = [](ErrorCode code, std::string_view field, uint64_t max, uint64_t found) {
    return fail(code, std::string(field) + ": expected " + std::to_string(max) + " at most, found " +
                          std::to_string(found));
  };
  if (item.payload.size() > limits::kPayloadBytesMax)
    return over(ErrorCode::kTooLong, "bytes of payload", limits::kPayloadBytesMax, item.payload.size());
  if (item.attempts_max > limits::kAttemptsMax)
    return over(ErrorCode::kInvalid, "attempts_max", limits::kAttemptsMax, item.attempts_max);
  if (item.priority > kPriorityMax) return over(ErrorCode::kInvalid, "priority", kPriorityMax, item.priority);
  if (item.delay_ms > limits::kDelayMsMax)
    return over(ErrorCode::kInvalid, "delay_ms", limits::kDelayMsMax, item.delay_ms);
  if (item.ttl_ms > limits::kDelayMsMax)
    return over(ErrorCode::kInvalid, "ttl_ms", limits::kDelayMsMax, item.ttl_ms);
  if (item.ttl_ms != 0 && item.ttl_ms <= item.delay_ms)
    return fail(ErrorCode::kInvalid, "ttl_ms: expected more than delay_ms (" + std::to_string(item.delay_ms) +
                                         "), or the job would expire before it starts, found " +
                                         std::to_string(item.ttl_ms));
  return {};
}

}  // namespace

void Dispatcher::hear(Turn& turn, const Address& from, Submit message) {
  if (auto checked = check_client_name(message.client); !checked) {
    return turn.say(from, Refused{message.request, std::move(checked).error()});
  }
  Accepted answer{message.request, {}};
  answer.items.reserve(message.items.size());
  for (size_t i = 0; i < message.items.size(); ++i) {
    jobs_.prefetch(message.items, i);
    answer.items.push_back(accept(turn, message.client, message.items[i]));
    if (!answer.items.back().error.text.empty()) ++counters_.refused;
  }
  turn.say(from, std::move(answer));
}

AcceptedItem Dispatcher::accept(Turn& turn, std::string_view client_name, SubmitItem& item) {
  // The id is the key: a client that repeats itself learns how far the job is, and nothing else happens.
  if (const Slot known = jobs_.find(item.id); known != kNoSlot) {
    if (find(turn, item.id) != kNoSlot) return {item.id, jobs_[known].state, {}, 0};
    return refused(item.id, ErrorCode::kExists, "expected a new id, found that of somebody else's job");
  }
  if (auto checked = check(item); !checked)
    return refused(item.id, checked.error().code, std::move(checked).error().text);
  const uint64_t n_bytes = journal_bytes(item.payload.size());
  if (n_bytes > turn.at.submit_room_bytes) {
    return refused(
        item.id, ErrorCode::kFull,
        "journal.watermark: the broker's journal is full up to what it keeps free for results; retry later",
        kJournalRetryMs);
  }
  const uint32_t number = clients_.number_of(client_name, turn.at.time);
  if (auto over = clients_.admit(number, item.payload.size(), turn.at.time)) {
    const auto retry_ms = static_cast<uint32_t>(over->retry_after.count());
    clients_.release(number, turn.at.time);  // it may have come with this job
    if (retry_ms == 0) return refused(item.id, ErrorCode::kTooLong, std::move(over->text));
    return refused(item.id, ErrorCode::kFull,
                   std::move(over->text) + "; retry after " + std::to_string(retry_ms) + " ms", retry_ms);
  }
  turn.at.submit_room_bytes -= n_bytes;

  AcceptedFact fact;
  fact.sequence = next_sequence_++;
  fact.id = item.id;
  fact.client = client_name;
  fact.route = item.route;
  fact.cost = item.cost;
  fact.attempts_max = item.attempts_max == 0 ? config_.attempts_max : item.attempts_max;
  fact.urgency = item.urgency;
  fact.priority = item.priority;
  fact.wall_ms = turn.at.wall_ms;
  if (item.delay_ms != 0) fact.not_before_ms = turn.at.wall_ms + static_cast<int64_t>(item.delay_ms);
  if (item.ttl_ms != 0) fact.expires_ms = turn.at.wall_ms + static_cast<int64_t>(item.ttl_ms);
  fact.payload_hash = hash128(item.payload, config_.hash_seed);

  const JobRecord record = JobRecord::of(fact, item.payload.size(), number);
  fact.payload = std::move(item.payload);
  turn.plan.facts.accepted.push_back(std::move(fact));

  const Slot job = jobs_.add(record);
  Client& client = clients_[number];
  ++client.n_unfinished;
  client.unfinished_bytes += record.payload_bytes;
  ++counters_.accepted;
  if (item.ttl_ms != 0) expiries_.add(turn.at.time + milliseconds(item.ttl_ms), jobs_.ticket(job));
  if (item.delay_ms != 0) {
    delay(job, turn.at.time + milliseconds(item.delay_ms));
  } else {
    enqueue(job);
  }
  return {item.id, JobState::kReady, {}, 0};
}

void Dispatcher::hear(Turn& turn, const Address& from, const Fetch& message) {
  Fetched answer{message.request, {}};
  std::vector<Sequence> bodies;
  turn.n_looked_at += 1 + message.ids.size();
  for (const JobId& id : message.ids) {
    FetchedItem item;
    item.id = id;
    Sequence body = 0;
    if (const Slot job = find(turn, id); job != kNoSlot) {
      item.state = jobs_[job].state;
      item.attempt = jobs_[job].attempt;
      body = jobs_[job].finished();
    }
    answer.items.push_back(std::move(item));
    bodies.push_back(body);
  }
  turn.plan.speeches.push_back({from, std::move(answer), std::move(bodies)});
}

void Dispatcher::hear(Turn& turn, const Address& from, const Collect& message) {
  Fetched answer{message.request, {}};
  std::vector<Sequence> bodies;
  if (const auto number = clients_.find(message.client)) {
    Slot job = clients_[*number].unacknowledged.first();
    for (; job != kNoSlot && bodies.size() < message.items_max; job = jobs_[job].next) {
      const JobRecord& record = jobs_[job];
      answer.items.push_back({record.id, record.state, record.attempt, {}, {}});
      bodies.push_back(record.finished());
    }
  }
  turn.n_looked_at += 1 + bodies.size();
  turn.plan.speeches.push_back({from, std::move(answer), std::move(bodies)});
}

void Dispatcher::hear(Turn& turn, const Address&, const Acknowledge& message) {
  const auto number = clients_.find(message.client);
  for (const JobId& id : message.ids) {
    const Slot job = jobs_.find(id);
    if (job == kNoSlot || !number || jobs_[job].client != *number) continue;
    JobRecord& record = jobs_[job];
    if (!is_finished(record.state) || record.is_acknowledged) continue;
    set_acknowledged(job);
    finished_.arrived(job);
    if (acknowledged_.empty()) acknowledged_since_ = turn.at.time;
    acknowledged_.push_back(record.finished());
  }
}

// A job that has its outcome already keeps it.
void Dispatcher::hear(Turn& turn, const Address& from, const Cancel& message) {
  answer_each(turn, from, message, [&](Slot job) -> AcceptedItem {
    if (!is_finished(jobs_[job].state)) {
      call_off(turn, job);
      FinishedFact outcome;
      outcome.attempt = jobs_[job].attempt;
      outcome.state = JobState::kCancelled;
      outcome.error = {ErrorCode::kCancelled, "cancelled by a client"};
      finish(turn, job, std::move(outcome));
    }
    return {jobs_[job].id, jobs_[job].state, {}, 0};
  });
}

}  // namespace tandem::broker
