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
};
// session -> frontend: whoever wanted the job does not want it any more. No answer is expected.
struct CancelledJob {
  JobId id;
};
using ToFrontend = std::variant<LeasedJob, CancelledJob, SequenceDelta, SequenceDone>;

// frontend -> session, as it goes to the broker. The parts of a job come before its result.
using FromFrontend = std::variant<PartialItem, ResultItem>;

}  // namespace tandem
