#include "worker/session/broker_dialogue.h"

#include <algorithm>

#include "shared/protocol/frames.h"

namespace tandem {

BrokerDialogue::Heard BrokerDialogue::hear(Message message, TimePoint now) {
  Heard heard;
  if (const auto* welcome = std::get_if<Welcome>(&message)) {
    welcomed_ = true;
    heartbeat_ = milliseconds(std::max<uint32_t>(welcome->heartbeat_ms, 1));
    wake_at_ = now + heartbeat_;
  } else if (std::holds_alternative<WhoAreYou>(message)) {
    welcomed_ = false;
    wake_at_ = now;
  } else if (auto* job = std::get_if<Job>(&message)) {
    hear_job(std::move(*job), now, heard);
  } else if (const auto* cancel = std::get_if<Cancel>(&message)) {
    for (const JobId& id : cancel->ids) {
      if (held_.erase(id) > 0) heard.cancelled.push_back(id);
    }
  } else if (const auto* refused = std::get_if<Refused>(&message)) {
    heard.complaint = "the broker refused a message: " + refused->error.text;
  } else {
    heard.complaint = "expected a message for workers, found '" + std::string(kind_name(message)) + "'";
  }
  return heard;
}

void BrokerDialogue::hear_job(Job job, TimePoint now, Heard& heard) {
  for (JobItem& item : job.items) {
    held_[item.id] = item.attempt;
    heard.jobs.push_back(
        {.id = item.id, .attempt = item.attempt, .payload = std::move(item.payload), .arrived = now});
  }
}

std::vector<Message> BrokerDialogue::due(TimePoint now) {
  if (now < wake_at_) return {};
  if (welcomed_) {
    wake_at_ = now + heartbeat_;
    return {Heartbeat{held()}};
  }
  wake_at_ = now + patience_;
  Hello hello = hello_;
  hello.held = held();
  return {std::move(hello)};
}

void BrokerDialogue::broker_is_away(TimePoint now) {
  welcomed_ = false;
  wake_at_ = now + patience_;
}

// A job that was lent anew while its result was under way is still held, under its new number, which the
// frontend answers, too.
void BrokerDialogue::handed_over(const ResultItem& result) {
  const auto found = held_.find(result.id);
  if (found != held_.end() && found->second <= result.attempt) held_.erase(found);
}

Message BrokerDialogue::drain() {
  hello_.credit_max = 0;
  return Ready{0};
}

std::vector<HeldLease> BrokerDialogue::held() const {
  std::vector<HeldLease> leases;
  for (const auto& [id, attempt] : held_) leases.push_back({id, attempt});
  return leases;
}

}  // namespace tandem
