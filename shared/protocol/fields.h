// The fields of every message, in the order they have on the wire. Written once and walked by whoever writes,
// reads or counts them (frames.cc), so that the two directions cannot differ. New fields go to the end: a
// reader passes over what it does not know, so an older peer understands a newer one.
//
// A visitor has a function for every sort of field:
//
//   number(name, value[, max])   unsigned integer, limited by its type or by `max`
//   boolean(name, value)
//   text(name, value)            UTF-8, up to limits::kNameBytesMax bytes
//   own_name(name, value)        the same, for the name a client or worker goes by: not empty, no '/'
//   names(name, values, max)     list of non-empty texts
//   id(name, value), ids(name, values)
//   state(name, value), urgency(name, value), error(name, value)
//   payload(name, value)         its size here, its bytes in the payload frame
//   item(name, value)            a struct, a list of its own fields
//   items(name, values)          list of those

#pragma once

#include <concepts>

#include "shared/base/limits.h"
#include "shared/protocol/messages.h"

namespace tandem::wire {

// T or const T: reading fills what writing only looks at.
template <typename T, typename Plain>
concept Either = std::same_as<std::remove_const_t<T>, Plain>;

// clang-format off
template <typename V, Either<SubmitItem> M>
void fields(V& v, M& m) {
  v.id("id", m.id);
  v.number("route", m.route);
  v.number("cost", m.cost);
  v.number("attempts_max", m.attempts_max, limits::kAttemptsMax);
  v.payload("payload", m.payload);
  v.urgency("urgency", m.urgency);
  v.number("priority", m.priority, kPriorityMax);
  v.number("delay_ms", m.delay_ms, limits::kDelayMsMax);
  v.number("ttl_ms", m.ttl_ms, limits::kDelayMsMax);
}
template <typename V, Either<Submit> M>
void fields(V& v, M& m) {
  v.number("request", m.request);
  v.own_name("client", m.client);
  v.items("items", m.items);
}
template <typename V, Either<AcceptedItem> M>
void fields(V& v, M& m) {
  v.id("id", m.id);
  v.state("state", m.state);
  v.error("error", m.error);
  v.number("retry_after_ms", m.retry_after_ms);
}
template <typename V, Either<Accepted> M>
void fields(V& v, M& m) {
  v.number("request", m.request);
  v.items("items", m.items);
}
template <typename V, Either<Fetch> M>
void fields(V& v, M& m) {
  v.number("request", m.request);
  v.ids("ids", m.ids);
}
template <typename V, Either<FetchedItem> M>
void fields(V& v, M& m) {
  v.id("id", m.id);
  v.state("state", m.state);
  v.number("attempt", m.attempt);
  v.error("error", m.error);
  v.payload("payload", m.payload);
}
template <typename V, Either<Fetched> M>
void fields(V& v, M& m) {
  v.number("request", m.request);
  v.items("items", m.items);
}
template <typename V, Either<Collect> M>
void fields(V& v, M& m) {
  v.number("request", m.request);
  v.own_name("client", m.client);
  v.number("items_max", m.items_max, limits::kItemsPerMessageMax);
}
template <typename V, Either<Acknowledge> M>
void fields(V& v, M& m) {
  v.own_name("client", m.client);
  v.ids("ids", m.ids);
}
template <typename V, Either<Cancel> M>
void fields(V& v, M& m) {
  v.number("request", m.request);
  v.ids("ids", m.ids);
}
template <typename V, Either<Revive> M>
void fields(V& v, M& m) {
  v.number("request", m.request);
  v.ids("ids", m.ids);
}
template <typename V, Either<Forget> M>
void fields(V& v, M& m) {
  v.number("request", m.request);
  v.ids("ids", m.ids);
}
template <typename V, Either<Status> M>
void fields(V& v, M& m) {
  v.number("request", m.request);
}
template <typename V, Either<WorkerStatus> M>
void fields(V& v, M& m) {
  v.text("name", m.name);
  v.text("host", m.host);
  v.text("model", m.model);
  v.number("credit_max", m.credit_max);
  v.number("leased", m.leased);
  v.number("finished", m.finished);
  v.number("cost_max", m.cost_max);
  v.number("cost_leased", m.cost_leased);
  v.boolean("is_draining", m.is_draining);
  v.number("silent_ms", m.silent_ms);
  v.names("tasks", m.tasks, limits::kTasksPerWorkerMax);
}
template <typename V, Either<ClientStatus> M>
void fields(V& v, M& m) {
  v.text("name", m.name);
  v.number("unfinished", m.unfinished);
  v.number("unfinished_bytes", m.unfinished_bytes);
  v.number("unacknowledged", m.unacknowledged);
}
template <typename V, Either<JobStatus> M>
void fields(V& v, M& m) {
  v.id("id", m.id);
  v.text("client", m.client);
  v.state("state", m.state);
  v.number("attempt", m.attempt);
  v.number("age_ms", m.age_ms);
  v.text("worker", m.worker);
  v.urgency("urgency", m.urgency);
  v.number("priority", m.priority, kPriorityMax);
  v.number("cost", m.cost);
  v.number("payload_bytes", m.payload_bytes);
  v.number("delay_ms", m.delay_ms);
  v.number("ttl_ms", m.ttl_ms);
  v.number("place", m.place);
}
template <typename V, Either<StatusReply> M>
void fields(V& v, M& m) {
  v.number("request", m.request);
  v.number("ready", m.ready);
  v.number("delayed", m.delayed);
  v.number("leased", m.leased);
  v.number("finished_kept", m.finished_kept);
  v.number("dead_kept", m.dead_kept);
  v.number("oldest_ready_ms", m.oldest_ready_ms);
  v.number("accepted_total", m.accepted_total);
  v.number("finished_total", m.finished_total);
  v.number("failed_total", m.failed_total);
  v.number("redelivered_total", m.redelivered_total);
  v.number("joined_total", m.joined_total);
  v.number("uptime_ms", m.uptime_ms);
  v.number("journal_bytes", m.journal_bytes);
  v.number("journal_bytes_max", m.journal_bytes_max);
  v.items("workers", m.workers);
  v.items("clients", m.clients);
}
template <typename V, Either<List> M>
void fields(V& v, M& m) {
  v.number("request", m.request);
  v.boolean("dead", m.dead);
  v.text("client", m.client);
  v.number("after", m.after);
  v.number("jobs_max", m.jobs_max, limits::kItemsPerMessageMax);
}
template <typename V, Either<Listed> M>
void fields(V& v, M& m) {
  v.number("request", m.request);
  v.items("jobs", m.jobs);
}
template <typename V, Either<Inspect> M>
void fields(V& v, M& m) {
  v.number("request", m.request);
  v.id("id", m.id);
}
template <typename V, Either<Inspected> M>
void fields(V& v, M& m) {
  v.number("request", m.request);
  v.item("job", m.job);
  v.error("error", m.error);
  v.payload("asked", m.asked);
  v.payload("answered", m.answered);
}
template <typename V, Either<Drain> M>
void fields(V& v, M& m) {
  v.number("request", m.request);
  v.text("name", m.name);
  v.boolean("drain", m.drain);
}
template <typename V, Either<Refused> M>
void fields(V& v, M& m) {
  v.number("request", m.request);
  v.error("error", m.error);
}
template <typename V, Either<HeldLease> M>
void fields(V& v, M& m) {
  v.id("id", m.id);
  v.number("attempt", m.attempt);
}
template <typename V, Either<Hello> M>
void fields(V& v, M& m) {
  v.own_name("worker", m.worker);
  v.text("host", m.host);
  v.text("model", m.model);
  v.number("credit_max", m.credit_max);
  v.names("tasks", m.tasks, limits::kTasksPerWorkerMax);
  v.items("held", m.held);
  v.number("cost_max", m.cost_max);
  v.number("interactive_extra", m.interactive_extra);
}
template <typename V, Either<Welcome> M>
void fields(V& v, M& m) {
  v.number("lease_ms", m.lease_ms);
  v.number("heartbeat_ms", m.heartbeat_ms);
}
template <typename V, Either<WhoAreYou> M>
void fields(V&, M&) {}
template <typename V, Either<Ready> M>
void fields(V& v, M& m) {
  v.number("credit_max", m.credit_max);
  v.number("cost_max", m.cost_max);
  v.number("interactive_extra", m.interactive_extra);
}
template <typename V, Either<Heartbeat> M>
void fields(V& v, M& m) {
  v.items("held", m.held);
}
template <typename V, Either<Goodbye> M>
void fields(V&, M&) {}
template <typename V, Either<Recall> M>
void fields(V& v, M& m) {
  v.ids("ids", m.ids);
}
template <typename V, Either<Returned> M>
void fields(V& v, M& m) {
  v.items("held", m.held);
}
template <typename V, Either<JobItem> M>
void fields(V& v, M& m) {
  v.id("id", m.id);
  v.number("attempt", m.attempt);
  v.payload("payload", m.payload);
  v.urgency("urgency", m.urgency);
  v.number("ttl_ms", m.ttl_ms);
}
template <typename V, Either<Job> M>
void fields(V& v, M& m) {
  v.number("lease_ms", m.lease_ms);
  v.items("items", m.items);
}
template <typename V, Either<ResultItem> M>
void fields(V& v, M& m) {
  v.id("id", m.id);
  v.number("attempt", m.attempt);
  v.error("error", m.error);
  v.boolean("retry", m.retry);
  v.payload("payload", m.payload);
}
template <typename V, Either<ResultMessage> M>
void fields(V& v, M& m) {
  v.text("worker", m.worker);  // empty where the broker itself ended the job
  v.items("items", m.items);
}
template <typename V, Either<PartialItem> M>
void fields(V& v, M& m) {
  v.id("id", m.id);
  v.number("attempt", m.attempt);
  v.payload("payload", m.payload);
}
template <typename V, Either<Partial> M>
void fields(V& v, M& m) {
  v.text("worker", m.worker);
  v.items("items", m.items);
}
// clang-format on

// The number on the wire and the name in logs. Never renumber, only add. 1.. and 48.. are between client and
// broker, 17.. between broker and worker, 33.. on the ways of the results.
template <typename M>
struct Kind;
// clang-format off
template <> struct Kind<Submit> { static constexpr uint8_t number = 1; static constexpr std::string_view name = "submit"; };
template <> struct Kind<Accepted> { static constexpr uint8_t number = 2; static constexpr std::string_view name = "accepted"; };
template <> struct Kind<Fetch> { static constexpr uint8_t number = 3; static constexpr std::string_view name = "fetch"; };
template <> struct Kind<Fetched> { static constexpr uint8_t number = 4; static constexpr std::string_view name = "fetched"; };
template <> struct Kind<Cancel> { static constexpr uint8_t number = 5; static constexpr std::string_view name = "cancel"; };
template <> struct Kind<Status> { static constexpr uint8_t number = 6; static constexpr std::string_view name = "status"; };
template <> struct Kind<StatusReply> { static constexpr uint8_t number = 7; static constexpr std::string_view name = "status_reply"; };
template <> struct Kind<Refused> { static constexpr uint8_t number = 8; static constexpr std::string_view name = "refused"; };
template <> struct Kind<Collect> { static constexpr uint8_t number = 9; static constexpr std::string_view name = "collect"; };
template <> struct Kind<Acknowledge> { static constexpr uint8_t number = 10; static constexpr std::string_view name = "acknowledge"; };
template <> struct Kind<Revive> { static constexpr uint8_t number = 11; static constexpr std::string_view name = "revive"; };
template <> struct Kind<Forget> { static constexpr uint8_t number = 12; static constexpr std::string_view name = "forget"; };
template <> struct Kind<List> { static constexpr uint8_t number = 13; static constexpr std::string_view name = "list"; };
template <> struct Kind<Listed> { static constexpr uint8_t number = 14; static constexpr std::string_view name = "listed"; };
template <> struct Kind<Inspect> { static constexpr uint8_t number = 15; static constexpr std::string_view name = "inspect"; };
template <> struct Kind<Inspected> { static constexpr uint8_t number = 16; static constexpr std::string_view name = "inspected"; };
template <> struct Kind<Drain> { static constexpr uint8_t number = 48; static constexpr std::string_view name = "drain"; };
template <> struct Kind<Hello> { static constexpr uint8_t number = 17; static constexpr std::string_view name = "hello"; };
template <> struct Kind<Welcome> { static constexpr uint8_t number = 18; static constexpr std::string_view name = "welcome"; };
template <> struct Kind<WhoAreYou> { static constexpr uint8_t number = 19; static constexpr std::string_view name = "who_are_you"; };
template <> struct Kind<Ready> { static constexpr uint8_t number = 20; static constexpr std::string_view name = "ready"; };
template <> struct Kind<Heartbeat> { static constexpr uint8_t number = 21; static constexpr std::string_view name = "heartbeat"; };
template <> struct Kind<Goodbye> { static constexpr uint8_t number = 22; static constexpr std::string_view name = "goodbye"; };
template <> struct Kind<Job> { static constexpr uint8_t number = 23; static constexpr std::string_view name = "job"; };
template <> struct Kind<Recall> { static constexpr uint8_t number = 24; static constexpr std::string_view name = "recall"; };
template <> struct Kind<Returned> { static constexpr uint8_t number = 25; static constexpr std::string_view name = "returned"; };
template <> struct Kind<ResultMessage> { static constexpr uint8_t number = 33; static constexpr std::string_view name = "result"; };
template <> struct Kind<Partial> { static constexpr uint8_t number = 34; static constexpr std::string_view name = "partial"; };
// clang-format on

}  // namespace tandem::wire
