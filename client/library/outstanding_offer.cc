// What becomes of jobs that the broker does not have yet: no room for them, or their time is over.

#include <algorithm>

#include "client/library/outstanding.h"
#include "client/library/pauses.h"

namespace tandem {
namespace {

constexpr Duration kFullFirst = milliseconds(100);  // where the broker does not say how long
constexpr Duration kFullPauseMax = std::chrono::seconds(5);
constexpr Duration kRetryAfterMin = milliseconds(10);
constexpr Duration kRetryAfterMax = std::chrono::minutes(1);
constexpr size_t kOfferMin = 8;

// Whether the same may be accepted later.
bool may_pass(ErrorCode code) {
  return code == ErrorCode::kFull || code == ErrorCode::kUnavailable;
}

int64_t whole_ms(Duration duration) {
  return std::chrono::ceil<milliseconds>(duration).count();
}

}  // namespace

bool Outstanding::is_over(const Entry& entry, TimePoint now) const {
  return entry.item.ttl_ms > 0 && now >= entry.added_at + milliseconds(entry.item.ttl_ms);
}

// Jobs that the broker may have end by its word.
void Outstanding::end_what_is_over(TimePoint now) {
  while (!ends_.empty() && ends_.begin()->first <= now) {
    const auto at = entries_.find(ends_.begin()->second);
    ends_.erase(ends_.begin());
    if (at != entries_.end() && !at->second.perhaps_there) expire(at);
  }
}

void Outstanding::expire(Entries::iterator at) {
  std::string text = "expected to be accepted within its time to live of " +
                     std::to_string(at->second.item.ttl_ms) + " ms, found it over";
  if (full_) text += "; the broker has no room: " + full_->text;
  finish(at, 0, fail(ErrorCode::kExpired, std::move(text)), By::kClient);
}

SubmitItem Outstanding::item_for(const Entry& entry, TimePoint now) const {
  SubmitItem item = entry.item;
  const auto waited =
      static_cast<uint64_t>(std::chrono::duration_cast<milliseconds>(now - entry.added_at).count());
  item.delay_ms -= std::min(item.delay_ms, waited);
  if (item.ttl_ms > 0) item.ttl_ms -= std::min(item.ttl_ms - 1, waited);  // 0 would be for ever
  return item;
}

void Outstanding::refuse(Entries::iterator at, Error error, Duration retry_after, Full& full, TimePoint now) {
  Entry& entry = at->second;
  entry.perhaps_there = false;
  if (may_pass(error.code)) {
    if (!entry.full_since) entry.full_since = now;
    const bool report = error.code == ErrorCode::kFull && settings_.on_full == OnFull::kReport;
    if (!report) {
      full.text = error.text;
      if (full.retry_after == Duration{} || (retry_after > Duration{} && retry_after < full.retry_after)) {
        full.retry_after = retry_after;
      }
      if (now - *entry.full_since < settings_.full_patience) {
        full.ids.push_back(at->first);
        return;
      }
    }
    if (retry_after > Duration{})
      error.text += "; try again after " + std::to_string(whole_ms(retry_after)) + " ms";
  }
  finish(at, 0, fail(std::move(error)), By::kClient, retry_after);
}

// Everything pauses, since what was refused is a limit of this client or of the broker as a whole.
void Outstanding::pause_for(const Full& full, TimePoint now) {
  for (auto id = full.ids.rbegin(); id != full.ids.rend(); ++id) queue(entries_.find(*id), true);
  if (full.text.empty()) return;
  const bool pausing = now < send_from_;  // several messages were on their way: they hit the same limit
  if (!pausing) {
    Duration pause = full.retry_after > Duration{}
                         ? std::clamp(full.retry_after, kRetryAfterMin, kRetryAfterMax)
                         : doubled(kFullFirst, n_full_, kFullPauseMax);
    dice_ = dice_ * 6364136223846793005u + 1442695040888963407u;
    pause += pause / 1024 * static_cast<int64_t>(dice_ >> 56);  // up to a quarter more
    send_from_ = now + pause;
    ++n_full_;
    offer_max_ = std::max(kOfferMin, offer_max_ / 2);
  }
  full_ = FullNotice{full.text, send_from_};
}

void Outstanding::there_is_room() {
  n_full_ = 0;
  offer_max_ = std::min(kSubmitItemsMax, offer_max_ * 2);
  full_.reset();
}

std::optional<FullNotice> Outstanding::held_back() const {
  return entries_.empty() ? std::nullopt : full_;
}

}  // namespace tandem
