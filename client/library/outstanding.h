// Decides what a client says to the broker and what its caller hears. Pure: values and time in, values out.
//
// A job is queued, sent (in a Submit without an answer yet), accepted (on the broker's disk), and then gone
// with its one outcome. Everything that may get lost on the way is asked for again:
//
//   Submit unanswered   the item is sent again, the id makes it harmless
//   result missed       the job is fetched: soon after acceptance while no result has ever come through the
//                       results socket (its subscription may be late), then seldom, with growing pauses
//   connection broken   both at once: the broker may have restarted
//   refused as full     all sending pauses for as long as the broker asks, then a smaller message tries
//   whether
//                       there is room, until the patience is over (or the job ends with it: OnFull::kReport)
//   outcome heard       acknowledged once the caller has it
//
// Delay and time to live count from add(): what a job waited here is taken off before it is sent.

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
    OnFull on_full = OnFull::kWait;
    bool acknowledge = true;
  };
  explicit Outstanding(Settings settings);

  size_t size() const { return entries_.size(); }
  bool contains(const JobId& id) const { return entries_.contains(id); }
  // True for a job that is accepted and has no outcome yet.
  bool accepted(const JobId& id) const;
  size_t n_queued() const { return to_send_.size(); }
  // Outcomes that were fetched, not heard.
  uint64_t n_fetched() const { return n_fetched_; }

  // `item.id` must not be outstanding.
  void add(SubmitItem item, TimePoint now);
  // A job that was never sent ends here; the others by the broker's word.
  void cancel(const std::vector<JobId>& ids);
  // The caller has these outcomes, which it collected.
  void acknowledge(const std::vector<JobId>& ids);
  // Ends all jobs: the broker cannot be talked to at all.
  void end_all(const Error& error);

  // The next message to the broker, if one is due. Call it only when it can be sent: it counts as sent.
  std::optional<Message> next(TimePoint now);
  // The part of it that is about what happened before: goes ahead of a question of the caller's own.
  std::optional<Message> next_acknowledgement();
  // When next() may have something without anything being heard; TimePoint::max() for never.
  TimePoint wake_at() const;
  // A number for a request of the caller's own (Status, Collect, ...); hear() leaves its answer alone.
  uint64_t take_request() { return ++last_request_; }

  void hear(Message&& message, TimePoint now);
  void connection_lost(TimePoint now);
  // What happened since the last call, in order. The caller has it now: the outcomes are acknowledged.
  std::vector<ClientEvent> take_events();
  bool has_events() const { return !events_.empty(); }
  // Set while jobs wait here because the broker has no room.
  std::optional<FullNotice> held_back() const;

 private:
  enum class Stage { kQueued, kSent, kAccepted };
  struct Entry {
    SubmitItem item;
    Stage stage = Stage::kQueued;
    TimePoint added_at{};
    TimePoint due{};             // of the repeat or the fetch
    uint32_t n_sent = 0;         // times submitted
    uint32_t n_fetched = 0;      // times fetched since accepted
    uint32_t n_unknown = 0;      // times that the broker did not know an accepted job
    uint32_t attempt = 0;        // the latest that parts came from
    bool alone = false;          // goes in a message of its own: its last message was refused as a whole
    bool cancelled = false;      // by the caller
    bool perhaps_there = false;  // sent, and not refused since: the broker may have it
    std::optional<TimePoint> full_since;
  };
  using Entries = std::unordered_map<JobId, Entry>;
  enum class By { kBroker, kClient };  // who ended a job: only the broker's outcomes are acknowledged

  // The items of one answer that were refused and may pass later.
  struct Full {
    std::vector<JobId> ids;
    std::string text;
    Duration retry_after{};  // the shortest that was asked for; 0: none
  };

  void on(Accepted& accepted, TimePoint now);
  void on(Fetched& fetched, TimePoint now);
  void on(Refused& refused, TimePoint now);
  void on(ResultMessage& result, TimePoint now);
  void on(Partial& partial, TimePoint now);

  std::optional<Message> next_submit(TimePoint now);
  Message next_cancel();
  std::optional<Message> next_fetch(TimePoint now);
  void repeat_due(TimePoint now);
  bool is_queued(Entries::const_iterator at) const {
    return at != entries_.end() && at->second.stage == Stage::kQueued;
  }
  void queue(Entries::iterator at, bool in_front);
  void set_due(Entries::iterator at, TimePoint due);
  void clear_due(Entries::iterator at);
  void set_accepted(Entries::iterator at, TimePoint now);
  void finish(Entries::iterator at, uint32_t attempt, Result<JobResult> result, By by,
              Duration retry_after = {});

  // outstanding_offer.cc
  bool is_over(const Entry& entry, TimePoint now) const;
  void end_what_is_over(TimePoint now);
  void expire(Entries::iterator at);
  SubmitItem item_for(const Entry& entry, TimePoint now) const;
  void refuse(Entries::iterator at, Error error, Duration retry_after, Full& full, TimePoint now);
  void pause_for(const Full& full, TimePoint now);
  void there_is_room();

  const Settings settings_;
  Entries entries_;
  std::deque<JobId> to_send_;  // kQueued, oldest first; ids without such an entry are passed over
  std::set<std::pair<TimePoint, JobId>> due_;  // kSent and kAccepted
  std::deque<JobId> to_fetch_;
  std::vector<JobId> to_cancel_;
  std::set<std::pair<TimePoint, JobId>> ends_;      // of jobs with a time to live that may still wait here
  std::vector<JobId> arrived_;                      // outcomes in events_ that are to be acknowledged
  std::vector<JobId> to_acknowledge_;               // the caller has them
  std::map<uint64_t, std::vector<JobId>> submits_;  // without an answer, for Refused; bounded by repeat_due()
  std::map<uint64_t, TimePoint> submitted_at_;
  uint64_t last_request_ = 0;
  uint64_t fetch_request_ = 0;  // without an answer; 0: none
  TimePoint fetch_until_{};
  uint64_t n_fetched_ = 0;
  bool results_heard_ = false;
  uint32_t n_full_ = 0;    // pauses in a row
  size_t offer_max_;       // items of a Submit; fewer after a pause
  uint64_t dice_;          // for pauses that differ from those of other clients
  TimePoint send_from_{};  // the end of the pause
  std::optional<FullNotice> full_;
  std::vector<ClientEvent> events_;
};

}  // namespace tandem
