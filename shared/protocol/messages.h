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

#include "shared/base/ids.h"
#include "shared/base/result.h"

namespace tandem {

inline constexpr uint8_t kProtocolVersion = 1;

enum class JobState : uint8_t {
  kUnknown = 0,  // never heard of, or forgotten after retention
  kReady = 1,    // accepted, waiting for a worker
  kLeased = 2,   // with a worker
  kDone = 3,     // finished with a result payload
  kFailed = 4,   // finished with an error instead (attempts, expired, cancelled)
};
std::string_view to_string(JobState state);

// ---- client -> broker (submit socket), and the answers -------------------------------------------------
// `request` is the client's number for the message; the answer carries it back.

struct SubmitItem {
  JobId id;
  uint64_t route = 0;         // hash of what should meet the same caches (text or conversation)
  uint32_t cost = 1;          // estimated tokens in and out; opaque to the broker
  uint32_t attempts_max = 0;  // 0: the broker's default
  std::string payload;        // a JobRequest, encoded
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
  JobState state = JobState::kReady;  // kDone/kFailed: submitted before and finished; kUnknown: see error
  Error error;                        // set (text not empty) when this item was refused
  bool operator==(const AcceptedItem&) const = default;
};
struct Accepted {
  uint64_t request = 0;
  std::vector<AcceptedItem> items;
  bool operator==(const Accepted&) const = default;
};

struct Fetch {
  uint64_t request = 0;
  std::vector<JobId> ids;
  bool operator==(const Fetch&) const = default;
};
struct FetchedItem {
  JobId id;
  JobState state = JobState::kUnknown;
  uint32_t attempt = 0;
  Error error;          // of a kFailed job
  std::string payload;  // a JobResult, encoded, of a kDone job
  bool operator==(const FetchedItem&) const = default;
};
struct Fetched {
  uint64_t request = 0;
  std::vector<FetchedItem> items;
  bool operator==(const Fetched&) const = default;
};

struct Cancel {  // client -> broker, and broker -> worker with request = 0
  uint64_t request = 0;
  std::vector<JobId> ids;
  bool operator==(const Cancel&) const = default;
};

struct Status {
  uint64_t request = 0;
  uint32_t jobs_max = 0;  // also list up to this many unfinished jobs, oldest first
  bool operator==(const Status&) const = default;
};
struct WorkerStatus {
  std::string name;
  std::string host;
  std::string model;
  uint32_t credit_max = 0;
  uint32_t leased = 0;
  uint64_t finished = 0;
  bool operator==(const WorkerStatus&) const = default;
};
struct JobStatus {
  JobId id;
  std::string client;
  JobState state = JobState::kReady;
  uint32_t attempt = 0;
  uint64_t age_ms = 0;
  std::string worker;  // of a leased job
  bool operator==(const JobStatus&) const = default;
};
struct StatusReply {
  uint64_t request = 0;
  uint64_t ready = 0;
  uint64_t leased = 0;
  uint64_t finished_kept = 0;   // finished jobs whose results are still kept
  uint64_t accepted_total = 0;  // since the broker started
  uint64_t finished_total = 0;
  uint64_t failed_total = 0;
  uint64_t redelivered_total = 0;
  uint64_t uptime_ms = 0;
  std::vector<WorkerStatus> workers;
  std::vector<JobStatus> jobs;
  bool operator==(const StatusReply&) const = default;
};

// A whole message was refused. `request` is 0 when it could not be read.
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

struct JobItem {
  JobId id;
  uint32_t attempt = 1;
  std::string payload;  // a JobRequest, encoded
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
  Error error;          // text not empty: the job as a whole failed (payload empty)
  bool retry = false;   // with an error: another attempt may help
  std::string payload;  // a JobResult, encoded
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
  std::string payload;  // a JobPart, encoded
  bool operator==(const PartialItem&) const = default;
};
struct Partial {
  std::string worker;
  std::vector<PartialItem> items;
  bool operator==(const Partial&) const = default;
};

using Message = std::variant<Submit, Accepted, Fetch, Fetched, Cancel, Status, StatusReply, Refused, Hello,
                             Welcome, WhoAreYou, Ready, Heartbeat, Goodbye, Job, ResultMessage, Partial>;

}  // namespace tandem
