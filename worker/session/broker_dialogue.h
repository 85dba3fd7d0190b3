// The worker's side of the conversation with the broker. Pure: messages and time in, messages out; no socket.
//
//   Hello -> Welcome     who we are, how often to be heard of; repeated until the broker answers
//   Job, Cancel          work comes and is called off
//   Recall -> Returned   what was not begun goes to somebody who has nothing to do
//   Heartbeat            names what is held; what it does not name the broker takes back
//   WhoAreYou -> Hello   a broker that was restarted hears what we still hold, so nothing is done twice
//   silence -> Hello     heartbeats are not answered, Hello is: so a broker that is gone is noticed
//   Ready{0}, Goodbye    no more, please; and the end

#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/ids.h"
#include "shared/protocol/messages.h"
#include "worker/frontend/messages.h"

namespace tandem {

// One thread.
class BrokerDialogue {
 public:
  // `hello` without `held`. An unanswered Hello is repeated after `patience`.
  BrokerDialogue(Hello hello, Duration patience) : hello_(std::move(hello)), patience_(patience) {}

  struct Heard {
    std::vector<LeasedJob> jobs;    // to begin (or, when it is held already, with a new attempt number)
    std::vector<JobId> cancelled;   // to forget
    std::vector<JobId> recalled;    // to be given back, if not begun; all are held
    std::string complaint;          // for the log: the broker refused something, or spoke out of turn
    std::optional<Error> stranger;  // the broker speaks another version: we can do nothing but end
  };
  Heard hear(Message message, TimePoint now);

  // What is to be said now: Returned, Hello, Heartbeat. Call it once a turn, and again at wake_at().
  std::vector<Message> due(TimePoint now);
  TimePoint wake_at() const { return std::min(wake_at_, expiry_next_); }

  // Jobs whose time is over since the last call. Still held: the frontend may have begun them.
  std::vector<JobId> overdue(TimePoint now);

  // Welcomed, and not heard of for kSilentLeases leases.
  static constexpr int kSilentLeases = 3;
  bool is_silent(TimePoint now) const;
  // Silent, and then asked in vain for one more lease. A broker that has nothing to do is silent, too.
  bool is_deaf(TimePoint now) const { return welcomed_ && now - heard_at_ >= (kSilentLeases + 1) * lease_; }

  // A message could not be sent: the broker is away. When it is back it hears Hello first.
  void broker_is_away(TimePoint now);
  void broker_is_back(TimePoint now) { wake_at_ = now; }

  // The result was handed over; the lease is not named any more. False when the job was called off meanwhile:
  // nobody wants it.
  bool wants(const ResultItem& result) const { return held_.contains(result.id); }
  bool wants(const PartialItem& part) const { return held_.contains(part.id); }
  void handed_over(const ResultItem& result);
  // The job was not begun: it is not held any more, and due() says so. Nothing when it was called off, or
  // lent again under another number, meanwhile.
  void give_back(const ReturnedJob& job);

  // No more jobs from now on: what still comes is given back at once.
  Message drain();
  std::vector<JobId> held_ids() const;

  bool welcomed() const { return welcomed_; }
  bool is_draining() const { return draining_; }
  size_t n_held() const { return held_.size(); }
  milliseconds lease() const { return lease_; }

 private:
  struct Held {
    uint32_t attempt = 1;
    TimePoint expires = TimePoint::max();
  };

  std::vector<HeldLease> held() const;
  void hear_job(Job job, TimePoint now, Heard& heard);

  Hello hello_;
  Duration patience_;
  milliseconds heartbeat_{0}, lease_{0};
  bool welcomed_ = false;
  bool draining_ = false;
  TimePoint wake_at_{};   // the next Hello or Heartbeat
  TimePoint heard_at_{};  // the broker's last word
  std::unordered_map<JobId, Held> held_;
  TimePoint expiry_next_ = TimePoint::max();  // none of `held_` is earlier
  std::vector<HeldLease> returned_;           // not said yet
};

}  // namespace tandem
