#include "client/library/outstanding.h"

#include <algorithm>

#include "shared/base/assert.h"

namespace tandem {
namespace {

using std::chrono::seconds;

constexpr size_t kSubmitItemsMax = 256;
constexpr size_t kSubmitBytesMax = 4u << 20;
constexpr size_t kFetchIdsMax = 128;
constexpr Duration kFetchFirst = milliseconds(100);
constexpr Duration kFetchCalm = seconds(3);
constexpr Duration kFetchPauseMax = seconds(30);
constexpr Duration kRepeatPauseMax = seconds(60);
constexpr Duration kFullFirst = milliseconds(100);
constexpr Duration kFullPauseMax = seconds(5);

// `first`, doubled `n` times, at most `max`.
Duration doubled(Duration first, uint32_t n, Duration max) {
  Duration pause = first;
  for (uint32_t i = 0; i < n && pause < max; ++i) pause *= 2;
  return std::min(pause, std::max(first, max));
}

}  // namespace

bool Outstanding::accepted(const JobId& id) const {
  const auto at = entries_.find(id);
  return at != entries_.end() && at->second.stage == Stage::kAccepted;
}

void Outstanding::add(SubmitItem item) {
  const JobId id = item.id;
  Entry entry;
  entry.item = std::move(item);
  const auto [at, added] = entries_.emplace(id, std::move(entry));
  TANDEM_ASSERT(added, "the caller asks contains() first");
  to_send_.push_back(id);
}

void Outstanding::cancel(const std::vector<JobId>& ids) {
  for (const JobId& id : ids) {
    const auto at = entries_.find(id);
    if (at == entries_.end()) continue;
    if (at->second.n_sent == 0) {
      finish(at, 0, fail(ErrorCode::kCancelled, "cancelled before it was sent"));
    } else {
      to_cancel_.push_back(id);
    }
  }
}

std::optional<Message> Outstanding::next(TimePoint now) {
  expire(now);
  while (!to_send_.empty()) {
    const auto at = entries_.find(to_send_.front());
    if (at != entries_.end() && at->second.stage == Stage::kQueued) break;
    to_send_.pop_front();
  }
  if (!to_send_.empty() && now >= send_from_) return next_submit(now);
  if (!to_cancel_.empty()) {
    Cancel cancel;
    cancel.request = take_request();
    const size_t n = std::min(to_cancel_.size(), kSubmitItemsMax);
    cancel.ids.assign(to_cancel_.end() - static_cast<ptrdiff_t>(n), to_cancel_.end());
    to_cancel_.resize(to_cancel_.size() - n);
    return cancel;
  }
  if (fetch_request_ == 0 && !to_fetch_.empty()) {
    Fetch fetch;
    while (!to_fetch_.empty() && fetch.ids.size() < kFetchIdsMax) {
      const auto at = entries_.find(to_fetch_.front());
      to_fetch_.pop_front();
      if (at == entries_.end() || at->second.stage != Stage::kAccepted) continue;
      fetch.ids.push_back(at->first);
      set_due(at, now + doubled(results_heard_ ? kFetchCalm : kFetchFirst, ++at->second.n_fetched,
                                kFetchPauseMax));
    }
    if (fetch.ids.empty()) return {};
    fetch.request = fetch_request_ = take_request();
    fetch_until_ = now + settings_.accept_timeout;
    return fetch;
  }
  return {};
}

Message Outstanding::next_submit(TimePoint now) {
  Submit submit;
  submit.request = take_request();
  submit.client = settings_.client;
  std::vector<JobId> ids;
  size_t n_bytes = 0;
  while (!to_send_.empty() && submit.items.size() < kSubmitItemsMax) {
    const auto at = entries_.find(to_send_.front());
    if (at == entries_.end() || at->second.stage != Stage::kQueued) {
      to_send_.pop_front();
      continue;
    }
    Entry& entry = at->second;
    n_bytes += entry.item.payload.size();
    if (!ids.empty() && (entry.alone || n_bytes > kSubmitBytesMax)) break;
    to_send_.pop_front();
    entry.stage = Stage::kSent;
    set_due(at, now + doubled(settings_.accept_timeout, entry.n_sent++, kRepeatPauseMax));
    ids.push_back(at->first);
    submit.items.push_back(entry.item);
    if (entry.alone) break;
  }
  submitted_at_[submit.request] = now;
  submits_[submit.request] = std::move(ids);
  return submit;
}

TimePoint Outstanding::wake_at() const {
  TimePoint wake = due_.empty() ? TimePoint::max() : due_.begin()->first;
  if (!to_send_.empty()) wake = std::min(wake, send_from_);
  if (!to_cancel_.empty()) wake = TimePoint{};
  if (!to_fetch_.empty()) wake = std::min(wake, fetch_request_ == 0 ? TimePoint{} : fetch_until_);
  return wake;
}

// What waited long enough: unanswered submits go again, accepted jobs are fetched.
void Outstanding::expire(TimePoint now) {
  while (!due_.empty() && due_.begin()->first <= now) {
    const auto at = entries_.find(due_.begin()->second);
    TANDEM_ASSERT(at != entries_.end(), "what is due is outstanding");
    clear_due(at);
    if (at->second.stage == Stage::kSent) {
      results_heard_ = false;  // the broker is silent: it may be a new one soon
      queue(at, false);
    } else {
      to_fetch_.push_back(at->first);
    }
  }
  if (fetch_request_ != 0 && now >= fetch_until_) fetch_request_ = 0;
  while (!submitted_at_.empty() && submitted_at_.begin()->second + kRepeatPauseMax < now) {
    submits_.erase(submitted_at_.begin()->first);
    submitted_at_.erase(submitted_at_.begin());
  }
}

void Outstanding::connection_lost(TimePoint now) {
  results_heard_ = false;
  fetch_request_ = 0;
  send_from_ = now;
  for (auto at = entries_.begin(); at != entries_.end(); ++at) {
    Entry& entry = at->second;
    if (entry.stage == Stage::kSent) {
      queue(at, false);
    } else if (entry.stage == Stage::kAccepted) {
      entry.n_fetched = 0;
      set_due(at, now + kFetchFirst);
    }
  }
  std::sort(to_send_.begin(), to_send_.end());  // ids made later sort later: in the order of submission
}

void Outstanding::give_up(const Error& error) {
  while (!entries_.empty()) finish(entries_.begin(), 0, fail(error));
  to_send_.clear();
  to_fetch_.clear();
  to_cancel_.clear();
}

void Outstanding::queue(Entries::iterator at, bool in_front) {
  clear_due(at);
  at->second.stage = Stage::kQueued;
  if (in_front) {
    to_send_.push_front(at->first);
  } else {
    to_send_.push_back(at->first);
  }
}

void Outstanding::set_due(Entries::iterator at, TimePoint due) {
  clear_due(at);
  at->second.due = due;
  due_.emplace(due, at->first);
}

void Outstanding::clear_due(Entries::iterator at) {
  due_.erase({at->second.due, at->first});
}

void Outstanding::set_accepted(Entries::iterator at, TimePoint now) {
  at->second.stage = Stage::kAccepted;
  at->second.n_fetched = 0;
  at->second.full_since.reset();
  set_due(at, now + (results_heard_ ? kFetchCalm : kFetchFirst));
}

void Outstanding::finish(Entries::iterator at, uint32_t attempt, Result<JobResult> result) {
  clear_due(at);
  events_.push_back(Outcome{at->first, attempt, std::move(result)});
  entries_.erase(at);
}

void Outstanding::pause_for_full(TimePoint now) {
  send_from_ = now + doubled(kFullFirst, n_full_++, kFullPauseMax);
}

}  // namespace tandem
