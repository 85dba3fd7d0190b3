#include "client/cli/bulk_run.h"

#include <algorithm>
#include <utility>

#include "client/cli/width.h"
#include "shared/base/limits.h"

namespace tandem::cli {
namespace {

constexpr Duration kTick = milliseconds(200);  // stop(), alive() and the progress are looked at this often
constexpr Duration kFlushEvery = std::chrono::seconds(1);
constexpr Duration kSilenceNote = std::chrono::seconds(20);
constexpr size_t kReadAtOnce = 256;                             // lines between two looks at the sockets
constexpr Duration kCallOffPatience = std::chrono::seconds(5);  // without an outcome

bool is_cancelled(const Outcome& outcome) {
  return !outcome.result && outcome.result.error().code == ErrorCode::kCancelled;
}

}  // namespace

Result<void> BulkRun::run() {
  TANDEM_ASSIGN(counts_.total, parts_.in.count_lines());
  flushed_at_ = parts_.clock.now();
  parts_.progress.show(counts_, parts_.clock.now(), true);
  while (!at_end_ || !waiting_.empty()) {
    if (parts_.stop()) {
      stopped_ = true;
      break;
    }
    TANDEM_TRY(parts_.alive());
    TANDEM_TRY(read_rows());
    const bool more_to_read = may_read() && parts_.in.ready();
    if (!places_.empty() || !more_to_read) {
      TANDEM_TRY(hear(parts_.client.wait(more_to_read ? Duration{} : kTick)));
    }
    look_after_broker();
    const TimePoint now = parts_.clock.now();
    if (now - flushed_at_ > kFlushEvery) {
      flushed_at_ = now;
      TANDEM_TRY(parts_.out.flush());
    }
    parts_.progress.show(counts_, now);
  }
  if (stopped_) TANDEM_TRY(call_off());
  parts_.progress.show(counts_, parts_.clock.now(), true);
  return parts_.out.flush();
}

// Waits for the outcomes: one that is not acknowledged stays with the broker until its retention ends, under
// a name that nobody will ask for. What was answered before the broker heard of it has its row.
Result<void> BulkRun::call_off() {
  std::vector<JobId> ids;
  for (const auto& [id, place] : places_) ids.push_back(id);
  (void)parts_.client.cancel(ids);
  TimePoint heard_at = parts_.clock.now();
  while (!places_.empty() && parts_.alive() && parts_.clock.now() - heard_at < kCallOffPatience) {
    std::vector<ClientEvent> events = parts_.client.wait(kTick);
    if (!events.empty()) heard_at = parts_.clock.now();
    std::erase_if(events, [&](const ClientEvent& event) {
      const auto* outcome = std::get_if<Outcome>(&event);
      return outcome != nullptr && is_cancelled(*outcome) && places_.erase(outcome->id) > 0;
    });
    TANDEM_TRY(hear(std::move(events)));
  }
  return {};
}

bool BulkRun::may_read() const {
  return !at_end_ && places_.size() < settings_.outstanding_max && waiting_.size() < settings_.waiting_max &&
         waiting_bytes_ < settings_.waiting_bytes_max;
}

Result<void> BulkRun::read_rows() {
  for (size_t n = 0; n < kReadAtOnce && may_read() && parts_.in.ready(); ++n) {
    TANDEM_ASSIGN(const auto line, parts_.in.next());
    if (parts_.in.interrupted()) return {};
    if (!line) {
      at_end_ = true;
      return {};
    }
    if (line->too_long) {
      TANDEM_TRY(start(unreadable_row(
          line->number,
          {ErrorCode::kTooLong, "expected a line of at most " + std::to_string(limits::kJsonLineBytesMax) +
                                    " bytes, found a longer one"})));
    } else {
      TANDEM_TRY(start(parse_row(line->text, line->number, settings_.defaults)));
    }
  }
  return {};
}

Result<void> BulkRun::start(InputRow row) {
  const uint64_t place = next_place_++;
  Result<JobId> id =
      row.request ? parts_.client.submit(*row.request, settings_.queue) : fail(row.request.error());
  Waiting waiting;
  waiting.n_bytes = row.fields.size() + (row.request ? 2 * row.request->text.size() : 0);
  waiting_bytes_ += waiting.n_bytes;
  if (row.request) row.request = JobRequest{};  // the client keeps what it needs
  waiting.row = std::move(row);
  waiting_.emplace(place, std::move(waiting));
  if (!id) return finish(place, fail(std::move(id).error()));
  places_.emplace(*id, place);
  return {};
}

Result<void> BulkRun::hear(std::vector<ClientEvent> events) {
  for (ClientEvent& event : events) {
    auto* outcome = std::get_if<Outcome>(&event);
    if (outcome == nullptr) continue;
    const auto at = places_.find(outcome->id);
    if (at == places_.end()) continue;
    const uint64_t place = at->second;
    places_.erase(at);
    TANDEM_TRY(finish(place, outcome->result));
  }
  return {};
}

Result<void> BulkRun::finish(uint64_t place, const Result<JobResult>& result) {
  const auto at = waiting_.find(place);
  RowOutcome outcome = render_row(at->second.row, result, settings_.style);
  ++counts_.done;
  counts_.failed += outcome.failed ? 1 : 0;
  counts_.cached += outcome.cached ? 1 : 0;
  counts_.tokens += outcome.n_tokens;
  if (!settings_.ordered) {
    waiting_bytes_ -= at->second.n_bytes;
    waiting_.erase(at);
    ++n_written_;
    return parts_.out.write(outcome.text);
  }
  waiting_bytes_ += outcome.text.size() - at->second.n_bytes;
  at->second.n_bytes = outcome.text.size();
  at->second.text = std::move(outcome.text);
  at->second.row = {};
  return write_in_order();
}

Result<void> BulkRun::write_in_order() {
  while (!waiting_.empty() && waiting_.begin()->second.text) {
    const auto first = waiting_.begin();
    TANDEM_TRY(parts_.out.write(*first->second.text));
    ++n_written_;
    waiting_bytes_ -= first->second.n_bytes;
    waiting_.erase(first);
  }
  return {};
}

void BulkRun::look_after_broker() {
  const auto held_back = parts_.client.held_back();
  counts_.held_back = held_back ? held_back->text : "";
  if (held_back && !std::exchange(said_full_, true)) {
    parts_.progress.note("broker full: " + printable(held_back->text) + "; waiting");
  }
  const TimePoint now = parts_.clock.now();
  if (!places_.empty() && !held_back && workers_.nobody_works(parts_.client, counts_.done, now)) {
    parts_.progress.note(kNobodyWorks);
  }
  if (places_.empty() || parts_.client.broker_seen()) {
    if (said_silent_) parts_.progress.note("the broker is back");
    said_silent_ = false;
    silent_since_.reset();
    return;
  }
  if (!silent_since_) silent_since_ = now;
  if (said_silent_ || now - *silent_since_ < kSilenceNote) return;
  said_silent_ = true;
  parts_.progress.note("no answer from the broker; waiting for it to come back (Ctrl-C stops)");
}

}  // namespace tandem::cli
