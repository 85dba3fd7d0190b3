// What each message from the broker changes. What is said, and when, is in outstanding.cc.

#include "client/library/outstanding.h"

namespace tandem {
namespace {

constexpr uint32_t kUnknownMax = 3;  // submitting again what the broker forgot
constexpr Duration kFetchCancelled = std::chrono::seconds(1);

}  // namespace

void Outstanding::hear(Message&& message, TimePoint now) {
  std::visit(
      [&](auto& heard) {
        if constexpr (requires { on(heard, now); }) on(heard, now);
      },
      message);
}

void Outstanding::on(Accepted& accepted, TimePoint now) {
  const bool answers_submit = submits_.erase(accepted.request) > 0;
  submitted_at_.erase(accepted.request);
  Full full;
  bool room = false;
  for (AcceptedItem& item : accepted.items) {
    const auto at = entries_.find(item.id);
    if (at == entries_.end()) continue;
    if (at->second.stage == Stage::kAccepted) {
      // Its outcome is published at this moment; of many, some are missed.
      if (at->second.cancelled && is_finished(item.state)) set_due(at, now + kFetchCancelled);
      continue;
    }
    if (!item.error.text.empty() && !answers_submit) {
      // A Cancel overtook nothing: what it does not find was lost on the way, and need not go again.
      if (at->second.cancelled && item.state == JobState::kUnknown) {
        finish(at, 0, fail(ErrorCode::kCancelled, "cancelled before the broker had it"), By::kClient);
      }
      continue;
    }
    if (!item.error.text.empty()) {
      refuse(at, std::move(item.error), milliseconds(item.retry_after_ms), full, now);
      continue;
    }
    room = true;
    set_accepted(at, now);
    // Finished before this Submit: its result was published then, and will not be again.
    if (is_finished(item.state)) set_due(at, now);
  }
  if (room) there_is_room();
  pause_for(full, now);
}

void Outstanding::on(Fetched& fetched, TimePoint now) {
  if (fetched.request == fetch_request_) fetch_request_ = 0;
  for (FetchedItem& item : fetched.items) {
    const auto at = entries_.find(item.id);
    if (at == entries_.end()) continue;
    if (is_finished(item.state)) {
      ++n_fetched_;
      finish(at, item.attempt, outcome_of(item), By::kBroker);
    } else if (item.state != JobState::kUnknown) {
      if (at->second.stage != Stage::kAccepted) set_accepted(at, now);
    } else if (at->second.stage == Stage::kAccepted) {
      at->second.perhaps_there = false;
      if (++at->second.n_unknown > kUnknownMax) {
        finish(at, 0, fail(ErrorCode::kNotFound, "the broker accepted this job and does not know it now"),
               By::kClient);
      } else {
        queue(at, false);  // another broker under the same endpoint, or one with an empty journal
      }
    }
  }
}

// A whole message was refused. One bad item must not take the others with it: each goes alone then.
void Outstanding::on(Refused& refused, TimePoint now) {
  if (refused.request == fetch_request_) fetch_request_ = 0;
  const auto sent = submits_.find(refused.request);
  if (sent == submits_.end()) return;
  const std::vector<JobId> ids = std::move(sent->second);
  submits_.erase(sent);
  submitted_at_.erase(refused.request);
  const bool may_pass =
      refused.error.code == ErrorCode::kFull || refused.error.code == ErrorCode::kUnavailable;
  Full full;
  for (const JobId& id : ids) {
    const auto at = entries_.find(id);
    if (at == entries_.end() || at->second.stage != Stage::kSent) continue;
    if (ids.size() > 1 && !may_pass) {
      at->second.alone = true;
      at->second.perhaps_there = false;
      queue(at, false);
    } else {
      refuse(at, refused.error, {}, full, now);
    }
  }
  pause_for(full, now);
}

void Outstanding::on(ResultMessage& message, TimePoint) {
  results_heard_ = true;
  for (ResultItem& item : message.items) {
    const auto at = entries_.find(item.id);
    if (at == entries_.end()) continue;  // heard before, or another run's under the same name
    if (!item.error.text.empty()) {
      finish(at, item.attempt, fail(std::move(item.error)), By::kBroker);
    } else {
      finish(at, item.attempt, decode_job_result(item.payload), By::kBroker);
    }
  }
}

void Outstanding::on(Partial& message, TimePoint) {
  results_heard_ = true;
  for (PartialItem& item : message.items) {
    const auto at = entries_.find(item.id);
    if (at == entries_.end() || item.attempt < at->second.attempt) continue;
    auto part = decode_job_part(item.payload);
    if (!part) continue;  // best effort: the outcome has everything
    at->second.attempt = item.attempt;
    events_.push_back(PartEvent{item.id, item.attempt, std::move(*part)});
  }
}

}  // namespace tandem
