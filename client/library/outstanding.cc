#include "client/library/outstanding.h"

#include <algorithm>

#include "client/library/pauses.h"
#include "shared/base/assert.h"
#include "shared/base/hash.h"
#include "shared/base/limits.h"

namespace tandem {
namespace {

using std::chrono::seconds;

constexpr size_t kCancelIdsMax = 256;
constexpr size_t kFetchIdsMax = 128;
constexpr Duration kFetchFirst = milliseconds(100);
constexpr Duration kFetchCalm = seconds(3);
constexpr Duration kFetchPauseMax = seconds(30);
constexpr Duration kRepeatPauseMax = seconds(60);

}  // namespace

Outstanding::Outstanding(Settings settings)
    : settings_(std::move(settings)),
      offer_max_(kSubmitItemsMax),
      dice_(hash128(settings_.client).low64() | 1) {}

bool Outstanding::accepted(const JobId& id) const {
  const auto at = entries_.find(id);
  return at != entries_.end() && at->second.stage == Stage::kAccepted;
}

void Outstanding::add(SubmitItem item, TimePoint now) {
  const JobId id = item.id;
  Entry entry;
  entry.item = std::move(item);
  entry.added_at = now;
  if (entry.item.ttl_ms > 0) ends_.emplace(now + milliseconds(entry.item.ttl_ms), id);
  const auto [at, added] = entries_.emplace(id, std::move(entry));
  TANDEM_ASSERT(added, "the caller asks contains() first");
  to_send_.push_back(id);
}

void Outstanding::cancel(const std::vector<JobId>& ids) {
  for (const JobId& id : ids) {
    const auto at = entries_.find(id);
    if (at == entries_.end()) continue;
    if (!at->second.perhaps_there) {
      finish(at, 0, fail(ErrorCode::kCancelled, "cancelled before the broker had it"), By::kClient);
    } else {
      at->second.cancelled = true;
      to_cancel_.push_back(id);
    }
  }
}

void Outstanding::acknowledge(const std::vector<JobId>& ids) {
  to_acknowledge_.insert(to_acknowledge_.end(), ids.begin(), ids.end());
}

void Outstanding::end_all(const Error& error) {
  while (!entries_.empty()) finish(entries_.begin(), 0, fail(error), By::kClient);
  to_send_.clear();
  to_fetch_.clear();
  to_cancel_.clear();
}

std::vector<ClientEvent> Outstanding::take_events() {
  acknowledge(std::exchange(arrived_, {}));
  return std::exchange(events_, {});
}

std::optional<Message> Outstanding::next(TimePoint now) {
  end_what_is_over(now);
  repeat_due(now);
  if (auto acknowledgement = next_acknowledgement()) return acknowledgement;
  while (!to_send_.empty() && !is_queued(entries_.find(to_send_.front()))) to_send_.pop_front();
  if (now >= send_from_) {
    if (auto submit = next_submit(now)) return submit;
  }
  if (!to_cancel_.empty()) return next_cancel();
  if (fetch_request_ == 0 && !to_fetch_.empty()) return next_fetch(now);
  return {};
}

std::optional<Message> Outstanding::next_acknowledgement() {
  if (to_acknowledge_.empty()) return {};
  const size_t n = std::min(to_acknowledge_.size(), limits::kItemsPerMessageMax);
  Acknowledge acknowledge;
  acknowledge.client = settings_.client;
  acknowledge.ids.assign(to_acknowledge_.end() - static_cast<ptrdiff_t>(n), to_acknowledge_.end());
  to_acknowledge_.resize(to_acknowledge_.size() - n);
  return acknowledge;
}

std::optional<Message> Outstanding::next_submit(TimePoint now) {
  Submit submit;
  size_t n_bytes = 0;
  while (!to_send_.empty() && submit.items.size() < offer_max_) {
    const auto at = entries_.find(to_send_.front());
    if (!is_queued(at)) {
      to_send_.pop_front();
      continue;
    }
    Entry& entry = at->second;
    if (!entry.perhaps_there && is_over(entry, now)) {
      to_send_.pop_front();
      expire(at);
      continue;
    }
    n_bytes += entry.item.payload.size();
    if (!submit.items.empty() && (entry.alone || n_bytes > kSubmitBytesMax)) break;
    to_send_.pop_front();
    entry.stage = Stage::kSent;
    entry.perhaps_there = true;
    set_due(at, now + doubled(settings_.accept_timeout, entry.n_sent++, kRepeatPauseMax));
    submit.items.push_back(item_for(entry, now));
    if (entry.alone) break;
  }
  if (submit.items.empty()) return {};
  submit.request = take_request();
  submit.client = settings_.client;
  std::vector<JobId>& ids = submits_[submit.request];
  for (const SubmitItem& item : submit.items) ids.push_back(item.id);
  submitted_at_[submit.request] = now;
  return submit;
}

Message Outstanding::next_cancel() {
  Cancel cancel;
  cancel.request = take_request();
  const size_t n = std::min(to_cancel_.size(), kCancelIdsMax);
  cancel.ids.assign(to_cancel_.end() - static_cast<ptrdiff_t>(n), to_cancel_.end());
  to_cancel_.resize(to_cancel_.size() - n);
  return cancel;
}

std::optional<Message> Outstanding::next_fetch(TimePoint now) {
  Fetch fetch;
  while (!to_fetch_.empty() && fetch.ids.size() < kFetchIdsMax) {
    const auto at = entries_.find(to_fetch_.front());
    to_fetch_.pop_front();
    if (at == entries_.end() || at->second.stage != Stage::kAccepted) continue;
    fetch.ids.push_back(at->first);
    set_due(at,
            now + doubled(results_heard_ ? kFetchCalm : kFetchFirst, ++at->second.n_fetched, kFetchPauseMax));
  }
  if (fetch.ids.empty()) return {};
  fetch.request = fetch_request_ = take_request();
  fetch_until_ = now + settings_.accept_timeout;
  return fetch;
}

TimePoint Outstanding::wake_at() const {
  TimePoint wake = due_.empty() ? TimePoint::max() : due_.begin()->first;
  if (!to_send_.empty()) wake = std::min(wake, send_from_);
  if (!ends_.empty()) wake = std::min(wake, ends_.begin()->first);
  if (!to_cancel_.empty() || !to_acknowledge_.empty()) wake = TimePoint{};
  if (!to_fetch_.empty()) wake = std::min(wake, fetch_request_ == 0 ? TimePoint{} : fetch_until_);
  return wake;
}

// What waited long enough: unanswered submits go again, accepted jobs are fetched.
void Outstanding::repeat_due(TimePoint now) {
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
  full_.reset();
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

void Outstanding::finish(Entries::iterator at, uint32_t attempt, Result<JobResult> result, By by,
                         Duration retry_after) {
  clear_due(at);
  const Entry& entry = at->second;
  if (entry.item.ttl_ms > 0) ends_.erase({entry.added_at + milliseconds(entry.item.ttl_ms), at->first});
  if (by == By::kBroker && settings_.acknowledge) arrived_.push_back(at->first);
  events_.push_back(Outcome{at->first, attempt, std::move(result), retry_after});
  entries_.erase(at);
}

}  // namespace tandem
