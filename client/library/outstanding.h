// Decides what a client says to the broker and what its caller hears. Pure: values and time in, values out.
//
// A job is queued, sent (in a Submit without an answer yet), accepted (on the broker's disk), and then gone
// with its one outcome. Everything that may get lost on the way is asked for again:
//
//   Submit unanswered   the item is sent again, the id makes it harmless
//   result missed       the job is fetched: soon after acceptance while no result has ever come through the
//                       results socket (its subscription may be late), then seldom, with growing pauses
//   connection broken   both at once: the broker may have restarted
//   refused as full     all sending pauses and the item goes again, until the patience is over

#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/include/tandem/client.h"

namespace tandem {

class Outstanding {
 public:
  struct Settings {
    std::string client;
    Duration accept_timeout;
    Duration full_patience;
  };
  explicit Outstanding(Settings settings) : settings_(std::move(settings)) {}

  size_t size() const { return entries_.size(); }
  bool contains(const JobId& id) const { return entries_.contains(id); }
  // True for a job that is accepted and has no outcome yet.
  bool accepted(const JobId& id) const;
  size_t n_queued() const { return to_send_.size(); }

  // `item.id` must not be outstanding.
  void add(SubmitItem item);
  // A job that was never sent ends here; the others by the broker's word.
  void cancel(const std::vector<JobId>& ids);

  // The next message to the broker, if one is due. Call it only when it can be sent: it counts as sent.
  std::optional<Message> next(TimePoint now);
  // When next() may have something without anything being heard; TimePoint::max() for never.
  TimePoint wake_at() const;
  // A number for a request of the caller's own (Status, Fetch); hear() leaves its answer alone.
  uint64_t take_request() { return ++last_request_; }

  void hear(Message&& message, TimePoint now);
  void connection_lost(TimePoint now);
  // No broker will ever answer: all jobs end with `error`.
  void give_up(const Error& error);
  // What happened since the last call, in order.
  std::vector<ClientEvent> take_events() { return std::exchange(events_, {}); }
  bool has_events() const { return !events_.empty(); }

 private:
  enum class Stage { kQueued, kSent, kAccepted };
  struct Entry {
    SubmitItem item;
    Stage stage = Stage::kQueued;
    TimePoint due{};         // of the repeat or the fetch
    uint32_t n_sent = 0;     // times submitted
    uint32_t n_fetched = 0;  // times fetched since accepted
    uint32_t n_unknown = 0;  // times that the broker did not know an accepted job
    uint32_t attempt = 0;    // the latest that parts came from
    bool alone = false;      // goes in a message of its own: its last message was refused as a whole
    std::optional<TimePoint> full_since;
  };
  using Entries = std::unordered_map<JobId, Entry>;

  void on(Accepted& accepted, TimePoint now);
  void on(Fetched& fetched, TimePoint now);
  void on(Refused& refused, TimePoint now);
  void on(ResultMessage& result, TimePoint now);
  void on(Partial& partial, TimePoint now);

  Message next_submit(TimePoint now);
  void expire(TimePoint now);
  void queue(Entries::iterator at, bool in_front);
  void set_due(Entries::iterator at, TimePoint due);
  void clear_due(Entries::iterator at);
  void set_accepted(Entries::iterator at, TimePoint now);
  void refuse(Entries::iterator at, Error error, TimePoint now);
  void finish(Entries::iterator at, uint32_t attempt, Result<JobResult> result);
  void pause_for_full(TimePoint now);

  const Settings settings_;
  Entries entries_;
  std::deque<JobId> to_send_;  // kQueued, oldest first; ids without such an entry are passed over
  std::set<std::pair<TimePoint, JobId>> due_;  // kSent and kAccepted
  std::deque<JobId> to_fetch_;
  std::vector<JobId> to_cancel_;
  std::map<uint64_t, std::vector<JobId>> submits_;  // without an answer, for Refused; bounded by expire()
  std::map<uint64_t, TimePoint> submitted_at_;
  uint64_t last_request_ = 0;
  uint64_t fetch_request_ = 0;  // without an answer; 0: none
  TimePoint fetch_until_{};
  bool results_heard_ = false;
  uint32_t n_full_ = 0;  // pauses in a row
  TimePoint send_from_{};
  std::vector<ClientEvent> events_;
};

}  // namespace tandem
