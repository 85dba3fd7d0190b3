// What people ask who look after the queue: Status, List, Inspect, Revive, Forget, Drain.

#include <algorithm>
#include <utility>

#include "broker/dispatcher.h"
#include "shared/base/limits.h"

namespace tandem::broker {
namespace {

constexpr size_t kClientsInStatus = 20;
constexpr size_t kTaskBytesInStatus = 1u << 20;  // names of workers' tasks; beyond, they are left out

uint64_t ms_between(TimePoint from, TimePoint to) {
  return static_cast<uint64_t>(std::max<int64_t>((to - from) / milliseconds(1), 0));
}

}  // namespace

void Dispatcher::hear(Turn& turn, const Address& from, const Status& message) {
  StatusReply reply;
  reply.request = message.request;
  reply.ready = n_ready() + n_joined();
  reply.delayed = n_delayed_;
  reply.leased = leases_.size();
  reply.finished_kept = finished_.size();
  reply.dead_kept = finished_.dead().size();
  reply.oldest_ready_ms = oldest_ready_ms(turn.at.wall_ms);
  reply.accepted_total = counters_.accepted;
  reply.finished_total = counters_.finished;
  reply.failed_total = counters_.failed - counters_.cancelled - counters_.expired;
  reply.redelivered_total = counters_.redelivered;
  reply.joined_total = counters_.joined;
  reply.uptime_ms = ms_between(started_at_, turn.at.time);
  reply.journal_bytes = turn.at.journal_bytes;
  reply.journal_bytes_max = turn.at.journal_bytes_max;
  turn.n_looked_at += 1 + workers_.size() + clients_.all().size();
  size_t n_task_bytes = 0;
  for (const auto& [name, number] : workers_.all()) {
    if (reply.workers.size() == limits::kItemsPerMessageMax) break;
    const Worker& worker = workers_[number];
    turn.n_looked_at += worker.tasks.size();
    for (const std::string& task : worker.tasks) n_task_bytes += task.size();
    reply.workers.push_back({name,
                             worker.host,
                             worker.model,
                             worker.credit_max,
                             static_cast<uint32_t>(worker.leases.size()),
                             worker.finished,
                             worker.cost_max,
                             worker.cost_leased,
                             worker.is_draining,
                             ms_between(worker.heard_at, turn.at.time),
                             {}});
    if (n_task_bytes <= kTaskBytesInStatus) reply.workers.back().tasks = worker.tasks;
  }
  std::vector<uint32_t> clients;
  for (const auto& [name, number] : clients_.all()) {
    if (turn.only_client.empty() || name == turn.only_client) clients.push_back(number);
  }
  const auto has_more = [&](uint32_t a, uint32_t b) {
    const auto key = [&](uint32_t one) {
      return std::pair(clients_[one].n_unfinished, clients_[one].unacknowledged.size());
    };
    return key(a) != key(b) ? key(a) > key(b) : clients_[a].name < clients_[b].name;
  };
  const size_t n_shown = std::min(clients.size(), kClientsInStatus);
  std::partial_sort(clients.begin(), clients.begin() + static_cast<std::ptrdiff_t>(n_shown), clients.end(),
                    has_more);
  for (size_t i = 0; i < n_shown; ++i) {
    const Client& client = clients_[clients[i]];
    reply.clients.push_back(
        {client.name, client.n_unfinished, client.unfinished_bytes, client.unacknowledged.size()});
  }
  turn.say(from, std::move(reply));
}

JobStatus Dispatcher::status_of(const Turn& turn, Slot job) {
  const JobRecord& record = jobs_[job];
  JobStatus status;
  status.id = record.id;
  status.client = clients_[record.client].name;
  status.state = record.state;
  status.attempt = record.attempt;
  status.age_ms = static_cast<uint64_t>(std::max<int64_t>(turn.at.wall_ms - record.accepted_ms, 0));
  if (const Worker* holder = leases_.holder(job)) status.worker = holder->name;
  status.urgency = record.urgency;
  status.priority = record.priority;
  status.cost = record.cost;
  status.payload_bytes = record.payload_bytes;
  if (record.waits == Waits::kTime) status.delay_ms = ms_between(turn.at.time, record.until());
  if (record.expires_ms != 0 && !is_finished(record.state)) {
    status.ttl_ms =
        static_cast<uint64_t>(std::max<int64_t>(record.left_ms(record.expires_ms, turn.at.wall_ms), 1));
  }
  status.place = is_finished(record.state) ? record.finished() : record.sequence;
  return status;
}

void Dispatcher::hear(Turn& turn, const Address& from, const List& message) {
  Listed answer{message.request, {}};
  const size_t n_max = std::min<size_t>(message.jobs_max, limits::kItemsPerMessageMax);
  const auto number = clients_.find(message.client);
  const bool is_nobody = !message.client.empty() && !number;
  const auto add = [&](Slot job) {
    if (answer.jobs.size() == n_max) return false;
    ++turn.n_looked_at;
    if (!number || jobs_[job].client == *number) answer.jobs.push_back(status_of(turn, job));
    return true;
  };
  if (message.dead && !is_nobody) {
    for (auto at = finished_.dead().upper_bound(message.after); at != finished_.dead().end(); ++at) {
      if (!add(at->second)) break;
    }
  } else if (!is_nobody) {
    jobs_.for_unfinished(message.after, add);
  }
  turn.n_looked_at += 1 + 10 * answer.jobs.size();
  turn.say(from, std::move(answer));
}

void Dispatcher::hear(Turn& turn, const Address& from, const Inspect& message) {
  ++turn.n_looked_at;
  Inspected answer;
  answer.request = message.request;
  const Slot job = find(turn, message.id);
  if (job == kNoSlot) {
    answer.job.id = message.id;
    answer.job.state = JobState::kUnknown;
    return turn.say(from, std::move(answer));
  }
  answer.job = status_of(turn, job);
  turn.plan.speeches.push_back({from, std::move(answer), {jobs_[job].sequence, jobs_[job].finished()}});
}

void Dispatcher::hear(Turn& turn, const Address& from, const Revive& message) {
  answer_each(turn, from, message, [&](Slot job) { return revive(turn, job); });
}

// The finished fact of a dead job is erased, and with it everything that followed from it.
AcceptedItem Dispatcher::revive(Turn& turn, Slot job) {
  JobRecord& record = jobs_[job];
  const JobId& id = record.id;
  // A job on its way again was asked for twice.
  if (!is_finished(record.state)) return {id, record.state, {}, 0};
  if (record.state != JobState::kDead) {
    return refused(id, ErrorCode::kInvalid,
                   "expected a dead job, found one that is " + std::string(to_string(record.state)));
  }
  if (record.expires_ms != 0 && record.expires_ms <= turn.at.wall_ms) {
    return refused(id, ErrorCode::kExpired, "its time to live is over: submit it anew");
  }
  if (turn.plan.facts.finishes(record.finished())) {
    return refused(id, ErrorCode::kUnavailable, "it died this very moment; try again");
  }
  set_acknowledged(job);
  finished_.remove(job);
  turn.plan.facts.forgotten.push_back(record.finished());
  record.state = JobState::kReady;
  record.is_acknowledged = false;
  record.attempt = record.ended_attempt = 0;
  record.tries = record.losses = 0;
  Client& client = clients_[record.client];
  --client.n_kept;
  ++client.n_unfinished;
  client.unfinished_bytes += record.payload_bytes;
  jobs_.arrive_again(job);
  if (record.expires_ms != 0) {
    const milliseconds left(record.left_ms(record.expires_ms, turn.at.wall_ms));
    expiries_.add(turn.at.time + left, jobs_.ticket(job));
  }
  enqueue(job);
  return {id, record.state, {}, 0};
}

void Dispatcher::hear(Turn& turn, const Address& from, const Forget& message) {
  answer_each(turn, from, message, [&](Slot job) -> AcceptedItem {
    const JobRecord& record = jobs_[job];
    const JobId id = record.id;
    if (!is_finished(record.state)) {
      return refused(id, ErrorCode::kInvalid,
                     "expected a finished job, found one that is " + std::string(to_string(record.state)) +
                         "; cancel it first");
    }
    if (turn.plan.facts.finishes(record.finished())) {
      return refused(id, ErrorCode::kUnavailable, "it finished this very moment; try again");
    }
    forget(turn, job);
    return {id, JobState::kUnknown, {}, 0};
  });
}

void Dispatcher::hear(Turn& turn, const Address& from, const Drain& message) {
  bool is_found = false;
  for (const auto& [name, number] : workers_.all()) {
    Worker& worker = workers_[number];
    if (name != message.name && worker.host != message.name) continue;
    worker.is_draining = message.drain;
    workers_.update(worker);
    is_found = true;
  }
  if (is_found) return hear(turn, from, Status{message.request});
  turn.say(from,
           Refused{message.request,
                   {ErrorCode::kNotFound, "expected the name of a worker or of a host of workers, found '" +
                                              message.name + "', which nobody goes by"}});
}

}  // namespace tandem::broker
