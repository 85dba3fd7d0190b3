// What each message from the broker changes. What is said, and when, is in outstanding.cc.

#include "client/library/outstanding.h"

namespace tandem {
namespace {

constexpr uint32_t kUnknownMax = 3;  // submitting again what the broker forgot

// Whether the same may be accepted later.
bool may_pass(ErrorCode code) {
  return code == ErrorCode::kFull || code == ErrorCode::kUnavailable;
}

}  // namespace

void Outstanding::hear(Message&& message, TimePoint now) {
  std::visit(
      [&](auto& heard) {
        if constexpr (requires { on(heard, now); }) on(heard, now);
      },
      message);
}

void Outstanding::on(Accepted& accepted, TimePoint now) {
  submits_.erase(accepted.request);
  submitted_at_.erase(accepted.request);
  bool full = false;
  for (AcceptedItem& item : accepted.items) {
    const auto at = entries_.find(item.id);
    if (at == entries_.end() || at->second.stage == Stage::kAccepted) continue;
    if (!item.error.text.empty()) {
      full |= may_pass(item.error.code);
      refuse(at, std::move(item.error), now);
      continue;
    }
    n_full_ = 0;
    set_accepted(at, now);
    // Finished before this Submit: its result was published then, and will not be again.
    if (item.state == JobState::kDone || item.state == JobState::kFailed) set_due(at, now);
  }
  if (full) pause_for_full(now);
}

void Outstanding::on(Fetched& fetched, TimePoint now) {
  if (fetched.request == fetch_request_) fetch_request_ = 0;
  for (FetchedItem& item : fetched.items) {
    const auto at = entries_.find(item.id);
    if (at == entries_.end()) continue;
    switch (item.state) {
      case JobState::kReady:
      case JobState::kLeased:
        if (at->second.stage != Stage::kAccepted) set_accepted(at, now);
        break;
      case JobState::kDone:
        finish(at, item.attempt, decode_job_result(item.payload));
        break;
      case JobState::kFailed:
        finish(at, item.attempt, fail(std::move(item.error)));
        break;
      case JobState::kUnknown:
        if (at->second.stage != Stage::kAccepted) break;
        if (++at->second.n_unknown > kUnknownMax) {
          finish(at, 0, fail(ErrorCode::kNotFound, "the broker accepted this job and does not know it now"));
        } else {
          queue(at, false);  // another broker under the same endpoint, or one with an empty journal
        }
        break;
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
  for (const JobId& id : ids) {
    const auto at = entries_.find(id);
    if (at == entries_.end() || at->second.stage != Stage::kSent) continue;
    if (ids.size() > 1 && !may_pass(refused.error.code)) {
      at->second.alone = true;
      queue(at, false);
    } else {
      refuse(at, refused.error, now);
    }
  }
  if (may_pass(refused.error.code)) pause_for_full(now);
}

void Outstanding::on(ResultMessage& message, TimePoint) {
  results_heard_ = true;
  for (ResultItem& item : message.items) {
    const auto at = entries_.find(item.id);
    if (at == entries_.end()) continue;  // heard before, or another run's under the same name
    if (!item.error.text.empty()) {
      finish(at, item.attempt, fail(std::move(item.error)));
    } else {
      finish(at, item.attempt, decode_job_result(item.payload));
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

void Outstanding::refuse(Entries::iterator at, Error error, TimePoint now) {
  if (may_pass(error.code)) {
    if (!at->second.full_since) at->second.full_since = now;
    if (now - *at->second.full_since < settings_.full_patience) return queue(at, true);
  }
  finish(at, 0, fail(std::move(error)));
}

}  // namespace tandem
