#include "broker/speaker.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "shared/base/limits.h"

namespace tandem::broker {
namespace {

// Payloads in one message to a client, at most; the size of the largest one on top.
constexpr size_t kMessagePayloadsMax = 16u << 20;
constexpr size_t kMessageRoom = kMessagePayloadsMax + limits::kPayloadBytesMax;

// Payloads of answers in one turn, at most; one message on top.
constexpr size_t kTurnPayloadsMax = 64u << 20;

// A connection whose queue was full is not read for again so soon.
constexpr milliseconds kFullPause{200};
constexpr size_t kFullPeersMax = 1'000;

}  // namespace

Speaker::Speaker(const Dispatcher& dispatcher, Journal& journal, Ports& ports, const Clock& clock,
                 const Log& log)
    : dispatcher_(&dispatcher), journal_(&journal), ports_(&ports), clock_(&clock), log_(log) {}

std::vector<Event> Speaker::take_events() {
  return std::exchange(events_, {});
}

Result<void> Speaker::speak(std::vector<Plan> plans) {
  n_bytes_left_ = kTurnPayloadsMax;
  TANDEM_TRY(catch_up());
  for (Plan& plan : plans) TANDEM_TRY(speak_one(plan));
  journal_->end_reads();
  return {};
}

// Workers first, so that they begin while the others are told; then outcomes, which somebody waits for.
Result<void> Speaker::speak_one(Plan& plan) {
  TANDEM_TRY(speak_at(Door::kWork, plan));
  for (auto& [client, partial] : plan.partials) ports_->publish(client, std::move(partial));
  publish_outcomes(plan);
  return speak_at(Door::kSubmit, plan);
}

Result<void> Speaker::speak_at(Door door, Plan& plan) {
  for (Speech& speech : plan.speeches) {
    if (speech.to.door != door) continue;
    if (auto* job = std::get_if<Job>(&speech.message)) {
      TANDEM_TRY(add_payloads(*job, speech.bodies, plan.facts));
      if (!job->items.empty()) (void)ports_->send(speech.to, speech.message);
    } else if (std::any_of(speech.bodies.begin(), speech.bodies.end(),
                           [](Sequence body) { return body != 0; })) {
      TANDEM_TRY(answer(speech));
    } else {
      (void)ports_->send(speech.to, speech.message);
    }
  }
  return {};
}

Result<void> Speaker::catch_up() {
  while (!behind_.empty() && n_bytes_left_ > 0) {
    Speech speech = std::move(behind_.front());
    behind_.pop_front();
    peers_behind_.erase(speech.to.peer);
    TANDEM_TRY(answer_now(speech));
  }
  return {};
}

Result<void> Speaker::answer(Speech& speech) {
  if (n_bytes_left_ > 0 && behind_.empty()) return answer_now(speech);
  // Who asks for more before it has that gets one answer. What is not answered is asked for again.
  if (peers_behind_.insert(speech.to.peer).second) behind_.push_back(std::move(speech));
  return {};
}

Result<void> Speaker::answer_now(Speech& speech) {
  if (!reads(speech.to.peer) || !ports_->has_room(speech.to, kMessageRoom)) return {};
  if (auto* fetched = std::get_if<Fetched>(&speech.message)) {
    TANDEM_TRY(add_payloads(*fetched, speech.bodies));
  } else {
    TANDEM_TRY(add_payloads(std::get<Inspected>(speech.message), speech.bodies));
  }
  if (ports_->send(speech.to, speech.message)) return {};
  if (not_before_.size() >= kFullPeersMax) not_before_.clear();
  not_before_[speech.to.peer] = clock_->now() + kFullPause;
  return {};
}

bool Speaker::reads(const std::string& peer) {
  const auto found = not_before_.find(peer);
  if (found == not_before_.end()) return true;
  if (found->second > clock_->now()) return false;
  not_before_.erase(found);
  return true;
}

// What was accepted in the same turn is still in memory. A job whose payload cannot be read any more is not
// lent; the next turn hears that it failed. One that was ended and forgotten while this was written is lent
// no more.
Result<void> Speaker::add_payloads(Job& job, const std::vector<Sequence>& bodies, const FactBatch& facts) {
  std::vector<JobItem> readable;
  readable.reserve(job.items.size());
  for (size_t i = 0; i < job.items.size(); ++i) {
    JobItem& item = job.items[i];
    if (const AcceptedFact* fact = facts.find_accepted(bodies[i])) {
      item.payload = fact->payload;
      readable.push_back(std::move(item));
      continue;
    }
    auto body = journal_->read(bodies[i]);
    if (body) {
      item.payload = std::move(body->payload);
      readable.push_back(std::move(item));
    } else if (body.error().code == ErrorCode::kCorrupt) {
      log_.error("job damaged in the journal job={} error={}", item.id.to_string(), body.error().text);
      ResultMessage failed{"", {{item.id, item.attempt, std::move(body).error(), false, {}}}};
      events_.push_back({{Door::kResults, {}}, std::move(failed)});
    } else if (body.error().code != ErrorCode::kNotFound || dispatcher_->is_unfinished(item.id, bodies[i])) {
      return fail(std::move(body).error());
    }
  }
  job.items = std::move(readable);
  return {};
}

// What does not fit into one message is left out of the answer; the client asks for it again.
Result<void> Speaker::add_payloads(Fetched& fetched, const std::vector<Sequence>& bodies) {
  std::vector<FetchedItem> fitting;
  size_t n_bytes = 0;
  for (size_t i = 0; i < fetched.items.size(); ++i) {
    FetchedItem& item = fetched.items[i];
    if (bodies[i] != 0) {
      if (n_bytes >= kMessagePayloadsMax) continue;
      auto body = journal_->read(bodies[i]);
      if (body) {
        n_bytes += body->payload.size();
        item.payload = std::move(body->payload);
        item.error = std::move(body->error);
      } else if (body.error().code == ErrorCode::kNotFound) {
        continue;  // forgotten or put back meanwhile: whoever asks again is told
      } else if (body.error().code == ErrorCode::kCorrupt) {
        item.state = JobState::kFailed;
        item.error = std::move(body).error();
      } else {
        return fail(std::move(body).error());
      }
    }
    fitting.push_back(std::move(item));
  }
  fetched.items = std::move(fitting);
  spend(n_bytes);
  return {};
}

Result<void> Speaker::add_payloads(Inspected& inspected, const std::vector<Sequence>& bodies) {
  for (const Sequence sequence : bodies) {
    if (sequence == 0) continue;
    auto body = journal_->read(sequence);
    if (!body && body.error().code != ErrorCode::kCorrupt && body.error().code != ErrorCode::kNotFound) {
      return fail(std::move(body).error());
    }
    if (!body) {
      inspected.error = std::move(body).error();
    } else if (sequence == bodies.front()) {
      spend(body->payload.size());
      inspected.asked = std::move(body->payload);
    } else {
      spend(body->payload.size());
      inspected.answered = std::move(body->payload);
      inspected.error = std::move(body->error);
    }
  }
  return {};
}

void Speaker::publish_outcomes(Plan& plan) {
  for (const auto& [client, worker, places] : plan.outcomes) {
    ResultMessage message{worker, {}};
    message.items.reserve(std::min(places.size(), limits::kItemsPerMessageMax));
    size_t n_bytes = 0;
    for (const size_t place : places) {
      FinishedFact& fact = plan.facts.finished[place];
      n_bytes += fact.payload.size();
      message.items.push_back({fact.id, fact.attempt, std::move(fact.error), false, std::move(fact.payload)});
      if (n_bytes >= kMessagePayloadsMax || message.items.size() == limits::kItemsPerMessageMax) {
        ports_->publish(client, message);
        message.items.clear();
        n_bytes = 0;
      }
    }
    if (!message.items.empty()) ports_->publish(client, message);
  }
}

}  // namespace tandem::broker
