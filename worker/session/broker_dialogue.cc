#include "worker/session/broker_dialogue.h"

#include <utility>

#include "shared/base/limits.h"
#include "shared/protocol/frames.h"

namespace tandem {

BrokerDialogue::Heard BrokerDialogue::hear(Message message, TimePoint now) {
  heard_at_ = now;
  Heard heard;
  if (const auto* welcome = std::get_if<Welcome>(&message)) {
    welcomed_ = true;
    heartbeat_ = milliseconds(std::max<uint32_t>(welcome->heartbeat_ms, 1));
    lease_ = std::max(milliseconds(welcome->lease_ms), heartbeat_);
    wake_at_ = now + heartbeat_;
  } else if (std::holds_alternative<WhoAreYou>(message)) {
    welcomed_ = false;
    wake_at_ = now;
    returned_.clear();  // it does not know of these leases either
  } else if (auto* job = std::get_if<Job>(&message)) {
    hear_job(std::move(*job), now, heard);
  } else if (const auto* cancel = std::get_if<Cancel>(&message)) {
    for (const JobId& id : cancel->ids) {
      if (held_.erase(id) > 0) heard.cancelled.push_back(id);
    }
  } else if (const auto* recall = std::get_if<Recall>(&message)) {
    for (const JobId& id : recall->ids) {
      if (held_.contains(id)) heard.recalled.push_back(id);
    }
  } else if (const auto* refused = std::get_if<Refused>(&message)) {
    if (refused->error.code == ErrorCode::kUnsupported) heard.stranger = refused->error;
    heard.complaint = "the broker refused a message: " + refused->error.text;
  } else {
    heard.complaint = "expected a message for workers, found '" + std::string(kind_name(message)) + "'";
  }
  return heard;
}

void BrokerDialogue::hear_job(Job job, TimePoint now, Heard& heard) {
  for (JobItem& item : job.items) {
    std::erase_if(returned_, [&](const HeldLease& lease) { return lease.id == item.id; });
    if (draining_ && !held_.contains(item.id)) {
      returned_.push_back({item.id, item.attempt});
      continue;
    }
    Held& held = held_[item.id];
    held.attempt = item.attempt;
    held.expires = TimePoint::max();
    if (item.ttl_ms > 0) held.expires = now + milliseconds(std::min(item.ttl_ms, limits::kDelayMsMax));
    expiry_next_ = std::min(expiry_next_, held.expires);
    heard.jobs.push_back({.id = item.id,
                          .attempt = item.attempt,
                          .payload = std::move(item.payload),
                          .arrived = now,
                          .urgency = item.urgency,
                          .expires = held.expires});
  }
}

std::vector<Message> BrokerDialogue::due(TimePoint now) {
  std::vector<Message> said;
  if (welcomed_ && !returned_.empty()) said.emplace_back(Returned{std::exchange(returned_, {})});
  if (now < wake_at_) return said;
  if (welcomed_ && !is_silent(now)) {
    wake_at_ = now + heartbeat_;
    said.emplace_back(Heartbeat{held()});
    return said;
  }
  // To a silent broker, too: it names what a heartbeat would, and is answered.
  wake_at_ = now + (welcomed_ ? heartbeat_ : patience_);
  Hello hello = hello_;
  hello.held = held();
  said.emplace_back(std::move(hello));
  return said;
}

bool BrokerDialogue::is_silent(TimePoint now) const {
  return welcomed_ && now - heard_at_ >= kSilentLeases * lease_;
}

std::vector<JobId> BrokerDialogue::overdue(TimePoint now) {
  std::vector<JobId> over;
  if (now < expiry_next_) return over;
  expiry_next_ = TimePoint::max();
  for (auto& [id, held] : held_) {
    if (held.expires <= now) {
      over.push_back(id);
      held.expires = TimePoint::max();
    }
    expiry_next_ = std::min(expiry_next_, held.expires);
  }
  std::sort(over.begin(), over.end());
  return over;
}

void BrokerDialogue::broker_is_away(TimePoint now) {
  welcomed_ = false;
  wake_at_ = now + patience_;
}

// A job that was lent anew while its result was under way is still held, under its new number, which the
// frontend answers, too.
void BrokerDialogue::handed_over(const ResultItem& result) {
  const auto found = held_.find(result.id);
  if (found != held_.end() && found->second.attempt <= result.attempt) held_.erase(found);
}

// The same: what was lent anew is with the frontend under its new number, which it begins.
void BrokerDialogue::give_back(const ReturnedJob& job) {
  const auto found = held_.find(job.id);
  if (found == held_.end() || found->second.attempt > job.attempt) return;
  returned_.push_back({job.id, found->second.attempt});
  held_.erase(found);
}

Message BrokerDialogue::drain() {
  draining_ = true;
  hello_.credit_max = 0;
  hello_.interactive_extra = 0;
  return Ready{.credit_max = 0, .cost_max = hello_.cost_max, .interactive_extra = 0};
}

std::vector<HeldLease> BrokerDialogue::held() const {
  std::vector<HeldLease> leases;
  for (const JobId& id : held_ids()) leases.push_back({id, held_.at(id).attempt});
  return leases;
}

std::vector<JobId> BrokerDialogue::held_ids() const {
  std::vector<JobId> ids;
  for (const auto& [id, held] : held_) ids.push_back(id);
  std::sort(ids.begin(), ids.end());  // the order of the map differs from process to process
  return ids;
}

}  // namespace tandem
