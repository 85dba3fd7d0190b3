// Every message between the programs. README.md beside this file has the frames and bytes; frames.h turns
// a message into frames and back. A new kind is a struct here and a line in `Message`: what does not handle
// it then does not compile.
//
// Messages carry many items, because a ZeroMQ hop costs the same for one job or a hundred
// (bench/README.md, queue): whoever sends puts in one message what is ready in one turn.

#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "shared/base/bytes.h"
#include "shared/base/ids.h"
#include "shared/base/result.h"
#include "shared/base/urgency.h"

namespace tandem {

inline constexpr uint8_t kProtocolVersion = 2;

enum class JobState : uint8_t {
  kUnknown = 0,    // never heard of, or forgotten after retention
  kReady = 1,      // accepted, waiting for its time or for a worker
  kLeased = 2,     // with a worker
  kDone = 3,       // finished with a result payload; all from here on are finished
  kFailed = 4,     // with an error that a worker found: another attempt would not help
  kDead = 5,       // given up after attempts_max attempts; may be put back
  kExpired = 6,    // its time to live was over first
  kCancelled = 7,  // a client took it back
};
inline constexpr JobState kJobStateLast = JobState::kCancelled;
inline bool is_finished(JobState state) {
  return state >= JobState::kDone;
}
std::string_view to_string(JobState state);

// Of a job: larger is sooner, among the jobs of one urgency.
inline constexpr uint8_t kPriorityMax = 9;
inline constexpr uint8_t kPriorityDefault = 4;

// ---- client -> broker (submit socket), and the answers -------------------------------------------------
// `request` is the client's number for the message; the answer carries it back.

struct SubmitItem {
  JobId id;
  uint64_t route = 0;         // hash of what should meet the same caches (text or conversation)
  uint32_t cost = 1;          // estimated tokens in and out; opaque to the broker
  uint32_t attempts_max = 0;  // 0: the broker's default
  Bytes payload;              // a JobRequest, encoded
  Urgency urgency = Urgency::kBulk;
  uint8_t priority = kPriorityDefault;
  uint64_t delay_ms = 0;  // not lent before so long after it was accepted
  uint64_t ttl_ms = 0;    // without an outcome so long after it was accepted it expires; 0: never
  bool operator==(const SubmitItem&) const = default;
};
struct Submit {
  uint64_t request = 0;
  std::string client;  // name; results are published under "<client>/"
  std::vector<SubmitItem> items;
  bool operator==(const Submit&) const = default;
};
struct AcceptedItem {
  JobId id;
  JobState state = JobState::kReady;  // finished: submitted before; kUnknown: see error
  Error error;                        // set (text not empty) when this item was refused
  uint32_t retry_after_ms = 0;        // with kFull: when to try again
  bool operator==(const AcceptedItem&) const = default;
};
struct Accepted {  // to Submit, Cancel, Revive and Forget
  uint64_t request = 0;
  std::vector<AcceptedItem> items;
  bool operator==(const Accepted&) const = default;
};

struct Fetch {
  uint64_t request = 0;
  std::vector<JobId> ids;
  bool operator==(const Fetch&) const = default;
};
// The client's finished jobs that it did not acknowledge, in the order in which they finished. Answered with
// Fetched: as many as fit into a message and items_max; acknowledge them and ask again for the rest.
struct Collect {
  uint64_t request = 0;
  std::string client;
  uint32_t items_max = 0;
  bool operator==(const Collect&) const = default;
};
struct FetchedItem {
  JobId id;
  JobState state = JobState::kUnknown;
  uint32_t attempt = 0;
  Error error;    // of a finished job without a result
  Bytes payload;  // a JobResult, encoded, of a kDone job
  bool operator==(const FetchedItem&) const = default;
};
struct Fetched {
  uint64_t request = 0;
  std::vector<FetchedItem> items;
  bool operator==(const Fetched&) const = default;
};
// These outcomes have arrived. Not answered: an outcome that is collected again may be acknowledged again.
struct Acknowledge {
  std::string client;
  std::vector<JobId> ids;
  bool operator==(const Acknowledge&) const = default;
};

struct Cancel {  // client -> broker, and broker -> worker with request = 0
  uint64_t request = 0;
  std::vector<JobId> ids;
  bool operator==(const Cancel&) const = default;
};
struct Revive {  // dead jobs go back into the queue, with all their attempts before them
  uint64_t request = 0;
  std::vector<JobId> ids;
  bool operator==(const Revive&) const = default;
};
struct Forget {  // finished jobs go now, not after retention
  uint64_t request = 0;
  std::vector<JobId> ids;
  bool operator==(const Forget&) const = default;
};

struct Status {
  uint64_t request = 0;
  bool operator==(const Status&) const = default;
};
struct WorkerStatus {
  std::string name;
  std::string host;
  std::string model;
  uint32_t credit_max = 0;
  uint32_t leased = 0;
  uint64_t finished = 0;
  uint64_t cost_max = 0;  // 0: not limited
  uint64_t cost_leased = 0;
  bool is_draining = false;
  uint64_t silent_ms = 0;  // since it was heard of
  std::vector<std::string> tasks;
  bool operator==(const WorkerStatus&) const = default;
};
struct ClientStatus {
  std::string name;
  uint64_t unfinished = 0;
  uint64_t unfinished_bytes = 0;
  uint64_t unacknowledged = 0;
  bool operator==(const ClientStatus&) const = default;
};
struct StatusReply {
  uint64_t request = 0;
  uint64_t ready = 0;    // waiting for a worker
  uint64_t delayed = 0;  // waiting for their time
  uint64_t leased = 0;
  uint64_t finished_kept = 0;  // finished jobs whose results are still kept
  uint64_t dead_kept = 0;      // of those, the dead
  uint64_t oldest_ready_ms = 0;
  uint64_t accepted_total = 0;  // since the broker started
  uint64_t finished_total = 0;
  uint64_t failed_total = 0;  // of those, failed or dead; not what was cancelled or expired
  uint64_t redelivered_total = 0;
  uint64_t joined_total = 0;  // jobs that were answered by an equal one in flight
  uint64_t uptime_ms = 0;
  uint64_t journal_bytes = 0;
  uint64_t journal_bytes_max = 0;
  std::vector<WorkerStatus> workers;
  std::vector<ClientStatus> clients;  // those with most unfinished jobs
  bool operator==(const StatusReply&) const = default;
};

// Jobs, oldest first; dead ones in the order in which they died.
struct List {
  uint64_t request = 0;
  bool dead = false;   // the dead ones; otherwise those without an outcome
  std::string client;  // of this client alone; empty: of all
  uint64_t after = 0;  // begin behind this place (JobStatus::place of the last one seen)
  uint32_t jobs_max = 0;
  bool operator==(const List&) const = default;
};
struct JobStatus {
  JobId id;
  std::string client;
  JobState state = JobState::kReady;
  uint32_t attempt = 0;
  uint64_t age_ms = 0;
  std::string worker;  // of a leased job
  Urgency urgency = Urgency::kBulk;
  uint8_t priority = kPriorityDefault;
  uint32_t cost = 0;
  uint64_t payload_bytes = 0;
  uint64_t delay_ms = 0;  // until it may be lent
  uint64_t ttl_ms = 0;    // until it expires; 0: never
  uint64_t place = 0;     // in the list
  bool operator==(const JobStatus&) const = default;
};
struct Listed {
  uint64_t request = 0;
  std::vector<JobStatus> jobs;
  bool operator==(const Listed&) const = default;
};

// One job with all that is known of it.
struct Inspect {
  uint64_t request = 0;
  JobId id;
  bool operator==(const Inspect&) const = default;
};
struct Inspected {
  uint64_t request = 0;
  JobStatus job;   // kUnknown: no such job
  Error error;     // of a finished job without a result
  Bytes asked;     // the JobRequest
  Bytes answered;  // the JobResult of a kDone job
  bool operator==(const Inspected&) const = default;
};

// Lends no more jobs to the worker, or to all workers of the host, of that name; or lends again. Answered
// with StatusReply, or Refused when there is none.
struct Drain {
  uint64_t request = 0;
  std::string name;
  bool drain = true;
  bool operator==(const Drain&) const = default;
};

// A whole message was refused. `request` is 0 when it could not be read. The layout of this message is the
// same in every version of the protocol, and it is sent under the version of whom it is for.
struct Refused {
  uint64_t request = 0;
  Error error;
  bool operator==(const Refused&) const = default;
};

// ---- worker <-> broker (work socket) ------------------------------------------------------------------

struct HeldLease {
  JobId id;
  uint32_t attempt = 0;
  bool operator==(const HeldLease&) const = default;
};
// First message of a worker, and its answer to WhoAreYou. `held` are jobs it is still working on, which the
// broker leases to it again if nobody else has them.
struct Hello {
  std::string worker;  // unique name
  std::string host;
  std::string model;        // fingerprint
  uint32_t credit_max = 0;  // jobs at a time
  std::vector<std::string> tasks;
  std::vector<HeldLease> held;
  uint64_t cost_max = 0;           // of all jobs it holds together; 0: not limited
  uint32_t interactive_extra = 0;  // so many interactive jobs on top of credit_max
  bool operator==(const Hello&) const = default;
};
struct Welcome {
  uint32_t lease_ms = 0;
  uint32_t heartbeat_ms = 0;
  bool operator==(const Welcome&) const = default;
};
// The broker does not know this worker (it restarted, or gave it up): say Hello again.
struct WhoAreYou {
  bool operator==(const WhoAreYou&) const = default;
};
// New number of jobs at a time; 0 asks for no more (draining).
struct Ready {
  uint32_t credit_max = 0;
  uint64_t cost_max = 0;
  uint32_t interactive_extra = 0;
  bool operator==(const Ready&) const = default;
};
// Renews the leases it names, and only those.
struct Heartbeat {
  std::vector<HeldLease> held;
  bool operator==(const Heartbeat&) const = default;
};
// The worker leaves: its leases go back at once.
struct Goodbye {
  bool operator==(const Goodbye&) const = default;
};

// Broker -> worker: somebody else has nothing to do. What of these was not begun comes back with Returned.
struct Recall {
  std::vector<JobId> ids;
  bool operator==(const Recall&) const = default;
};
// Worker -> broker: not begun and given back. Does not count as an attempt.
struct Returned {
  std::vector<HeldLease> held;
  bool operator==(const Returned&) const = default;
};

struct JobItem {
  JobId id;
  uint32_t attempt = 1;
  Bytes payload;  // a JobRequest, encoded
  Urgency urgency = Urgency::kBulk;
  uint64_t ttl_ms = 0;  // left of it; 0: no limit
  bool operator==(const JobItem&) const = default;
};
struct Job {
  uint32_t lease_ms = 0;
  std::vector<JobItem> items;
  bool operator==(const Job&) const = default;
};

// ---- worker -> broker (results socket), broker -> client (result topics) --------------------------------

struct ResultItem {
  JobId id;
  uint32_t attempt = 1;
  Error error;         // text not empty: the job as a whole failed (payload empty)
  bool retry = false;  // with an error: another attempt may help
  Bytes payload;       // a JobResult, encoded
  bool operator==(const ResultItem&) const = default;
};
struct ResultMessage {
  std::string worker;
  std::vector<ResultItem> items;
  bool operator==(const ResultMessage&) const = default;
};
struct PartialItem {
  JobId id;
  uint32_t attempt = 1;
  Bytes payload;  // a JobPart, encoded
  bool operator==(const PartialItem&) const = default;
};
struct Partial {
  std::string worker;
  std::vector<PartialItem> items;
  bool operator==(const Partial&) const = default;
};

using Message =
    std::variant<Submit, Accepted, Fetch, Fetched, Cancel, Status, StatusReply, Refused, Collect, Acknowledge,
                 Revive, Forget, List, Listed, Inspect, Inspected, Drain, Hello, Welcome, WhoAreYou, Ready,
                 Heartbeat, Goodbye, Job, Recall, Returned, ResultMessage, Partial>;

}  // namespace tandem
