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

struct ClientOptions {
  std::string submit_endpoint;  // such as "ipc:///run/user/1000/tandem/submit" or "tcp://127.0.0.1:5555"
  std::string results_endpoint;
  std::string name;  // results come under it; "" makes a unique one. Reuse it to get results after a restart
  // For tcp, and a must beyond this machine: load_client_keys(). The name is then that of the key.
  std::optional<ClientKeys> keys;
  size_t outstanding_max = 1024;                      // submit() waits, or reports kFull, beyond this
  Duration accept_timeout = std::chrono::seconds(5);  // Submit is repeated after this without an answer
  Duration full_patience = std::chrono::minutes(5);   // a job refused as kFull is offered again for so long
};

// The job's one outcome.
struct Outcome {
  JobId id;
  uint32_t attempt = 0;
  Result<JobResult> result = fail(ErrorCode::kInternal, "no outcome yet");
};
// A piece before the outcome; best effort.
struct PartEvent {
  JobId id;
  uint32_t attempt = 0;  // when it grows, another worker has the job and its text begins anew
  JobPart part;
};
using ClientEvent = std::variant<PartEvent, Outcome>;

struct SubmitOptions {
  std::optional<JobId> id;    // the idempotency key; made when not given
  uint32_t attempts_max = 0;  // 0: the broker's default
  uint64_t route = 0;         // 0: hash of the text
};

// One thread uses a Client at a time. Nothing runs behind the caller's back: sockets are served inside
// submit() and wait(). Submits are repeated until accepted, missed results are fetched; the job id makes both
// harmless.
class Client {
 public:
  // kInvalid for a bad endpoint, for one on another machine without keys, and for a name that is not the
  // key's. The broker may still be away: it is waited for.
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
  // after it the job is not outstanding any more.
  virtual std::vector<ClientEvent> wait(Duration at_most) = 0;

  virtual Result<void> cancel(const std::vector<JobId>& ids) = 0;
  // kTimeout when the broker does not answer in time.
  virtual Result<StatusReply> status(uint32_t jobs_max, Duration at_most) = 0;
  virtual Result<std::vector<FetchedItem>> fetch(const std::vector<JobId>& ids, Duration at_most) = 0;
  // Whether the broker has answered anything lately; for "no broker at ..." messages.
  virtual bool broker_seen() const = 0;
};

}  // namespace tandem
