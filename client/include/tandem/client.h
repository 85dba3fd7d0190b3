// The client library: submit jobs, hear exactly one outcome for each.

#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/ids.h"
#include "shared/base/result.h"
#include "shared/net/keys.h"
#include "shared/protocol/job.h"
#include "shared/protocol/messages.h"

namespace tandem {

// What to do about a job that the broker has no room for now (kFull).
enum class OnFull : uint8_t {
  kWait,    // wait as long as the broker asks, and offer it again until full_patience; held_back() tells
  kReport,  // end it at once with an Outcome that says what was hit and when to try again
};

struct ClientOptions {
  std::string submit_endpoint;  // such as "ipc:///run/user/1000/tandem/submit" or "tcp://127.0.0.1:5555"
  std::string results_endpoint;
  std::string name;  // results come under it; "" makes a unique one. Reuse it to get results after a restart
  // For tcp, and a must beyond this machine: load_client_keys(). The name is then that of the key.
  std::optional<ClientKeys> keys;
  // With the key of an admin: `name` may be another client's, whose outcomes are collected and acknowledged.
  // The broker refuses what is submitted under it.
  bool looks_after = false;
  size_t outstanding_max = 1024;                      // submit() waits, or reports kFull, beyond this
  Duration accept_timeout = std::chrono::seconds(5);  // Submit is repeated after this without an answer
  OnFull on_full = OnFull::kWait;
  Duration full_patience = std::chrono::minutes(5);  // a job refused as kFull is offered again for so long
  Urgency urgency = Urgency::kBulk;                  // of jobs whose SubmitOptions say nothing else
  uint8_t priority = kPriorityDefault;               // 0..kPriorityMax, larger is sooner
  bool acknowledge =
      true;  // tell the broker which outcomes wait() returned; it keeps the others to be collected
};

// The job's one outcome.
struct Outcome {
  JobId id;
  uint32_t attempt = 0;
  // An error of the broker or a worker: kAttempts (dead: given up), kExpired, kCancelled, kFull, ... One of
  // this library: kUnsupported when the broker speaks another version of the protocol.
  Result<JobResult> result = fail(ErrorCode::kInternal, "no outcome yet");
  Duration retry_after{};  // with kFull: when there may be room
};
// A piece before the outcome; best effort.
struct PartEvent {
  JobId id;
  uint32_t attempt = 0;  // when it grows, another worker has the job and its text begins anew
  JobPart part;
};
using ClientEvent = std::variant<PartEvent, Outcome>;

struct SubmitOptions {
  std::optional<JobId> id;         // the idempotency key; made when not given
  uint32_t attempts_max = 0;       // 0: the broker's default
  uint64_t route = 0;              // 0: hash of the text
  std::optional<Urgency> urgency;  // not given: those of ClientOptions
  std::optional<uint8_t> priority;
  Duration delay{};  // not begun before so long after submit()
  Duration ttl{};  // time to live: without an outcome so long after submit() it ends with kExpired; 0: no end
};

// The broker has no room, and jobs wait here.
struct FullNotice {
  std::string text;  // what was hit
  TimePoint retry_at{};
};

// One thread uses a Client at a time. Nothing runs behind the caller's back: sockets are served inside
// submit() and wait(). Submits are repeated until accepted, missed results are fetched; the job id makes both
// harmless.
class Client {
 public:
  // kInvalid for a bad endpoint, for one on another machine without keys, and for a name that is not the
  // key's (see looks_after). The broker may still be away: it is waited for.
  //
  // A broker that refuses the key ends it: every job that is outstanding has that as its outcome, submit()
  // and the questions fail with it, and only a new client tries again. kInvalid, and the text says what to
  // do.
  static Result<std::unique_ptr<Client>> open(const ClientOptions& options);
  virtual ~Client() = default;

  // Queues the job for sending and returns its id; kFull at outstanding_max, kTooLong over a limit. The job
  // is accepted (on the broker's disk) once accepted() says so, at the latest when its outcome comes.
  virtual Result<JobId> submit(const JobRequest& request, const SubmitOptions& options = {}) = 0;
  virtual bool accepted(const JobId& id) const = 0;
  virtual size_t n_outstanding() const = 0;

  // Serves the sockets until there are events or the time is over. An Outcome comes exactly once per job;
  // after it the job is not outstanding any more, and the broker hears with the next call, or when the client
  // is closed, that it has arrived.
  virtual std::vector<ClientEvent> wait(Duration at_most) = 0;

  // Takes back jobs that are outstanding here. Each still has its outcome: kCancelled, or what came first.
  virtual Result<void> cancel(const std::vector<JobId>& ids) = 0;
  // These outcomes, from collect(), have arrived: the broker need not offer them again. Best effort.
  virtual void acknowledge(const std::vector<JobId>& ids) = 0;

  // Whether the broker has answered anything lately; for "no broker at ..." messages.
  virtual bool broker_seen() const = 0;
  // Outcomes that did not come by themselves and were fetched: when they were published nobody listened yet,
  // or this client did not read, and its queue was full. None is lost; many say that it reads too slowly.
  virtual uint64_t n_fetched() const = 0;
  // Set while the broker has no room and jobs wait here for it.
  virtual std::optional<FullNotice> held_back() const = 0;
  virtual const std::string& name() const = 0;

  // Puts a question to the broker, under a number of its own, and serves the sockets until the answer is
  // there. kTimeout when the broker does not answer in time, and the error of a Refused. The question is
  // repeated, since a message may get lost: ask what may be asked twice.
  virtual Result<Message> ask(Message question, Duration at_most) = 0;

  // The questions there are. Lists of ids have at most limits::kItemsPerMessageMax; an answer about ids has
  // an item for each, with an error where nothing could be done.
  Result<StatusReply> status(Duration at_most);
  Result<std::vector<FetchedItem>> fetch(const std::vector<JobId>& ids, Duration at_most);
  // Finished jobs under this client's name whose outcome was not acknowledged, in the order in which they
  // finished: as many as fit into one message. Acknowledge them and collect again for the rest.
  Result<std::vector<FetchedItem>> collect(uint32_t items_max, Duration at_most);
  Result<std::vector<JobStatus>> list(const List& which, Duration at_most);
  Result<Inspected> inspect(const JobId& id, Duration at_most);  // state kUnknown: no such job
  // Of jobs of any client.
  Result<std::vector<AcceptedItem>> cancel(const std::vector<JobId>& ids, Duration at_most);
  Result<std::vector<AcceptedItem>> revive(const std::vector<JobId>& ids, Duration at_most);
  Result<std::vector<AcceptedItem>> forget(const std::vector<JobId>& ids, Duration at_most);
  // Lends no more jobs to the worker or host `name`; with false, lends again.
  Result<StatusReply> drain(const std::string& name, bool drain, Duration at_most);
};

// The outcome in a FetchedItem of a finished job.
Result<JobResult> outcome_of(const FetchedItem& item);

}  // namespace tandem
