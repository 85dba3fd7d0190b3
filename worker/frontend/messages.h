// What passes between session, frontend and inference. All one way: nobody waits for an answer.

#pragma once

#include <string>
#include <variant>

#include "shared/base/bytes.h"
#include "shared/base/clock.h"
#include "shared/base/ids.h"
#include "shared/protocol/messages.h"
#include "worker/scheduler/inference.h"

namespace tandem {

// session -> frontend: a job lent by the broker.
struct LeasedJob {
  JobId id;
  uint32_t attempt = 1;
  Bytes payload;  // a JobRequest, encoded
  TimePoint arrived;
  Urgency urgency = Urgency::kBulk;
  TimePoint expires = TimePoint::max();  // nobody wants an answer that is begun later
};
// session -> frontend: whoever wanted the job does not want it any more. No answer is expected.
struct CancelledJob {
  JobId id;
};
// session -> frontend: give the job back, if nothing of it was begun. It comes back as a ReturnedJob, or goes
// on as if nothing was said.
struct RecalledJob {
  JobId id;
};
// session -> frontend: the time of the job is over. If nothing of it was begun, its result says so.
struct OverdueJob {
  JobId id;
};
using ToFrontend = std::variant<LeasedJob, CancelledJob, RecalledJob, OverdueJob, SequencesBegan,
                                SequenceDelta, SequenceDone>;

// frontend -> session: this lease is given back. Nothing else was said of it, or will be.
struct ReturnedJob {
  JobId id;
  uint32_t attempt = 1;
};
// frontend -> session, as it goes to the broker. The parts of a job come before its result.
using FromFrontend = std::variant<PartialItem, ResultItem, ReturnedJob>;

}  // namespace tandem
