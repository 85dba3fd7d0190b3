// A worker, from its settings to its end: the parts, and the threads they live on.

#pragma once

#include <functional>
#include <string>

#include "shared/base/clock.h"
#include "shared/base/result.h"
#include "shared/base/stop_signal.h"
#include "worker/config.h"

namespace tandem {

// Loads everything, warms up, serves the broker until `stop`, finishes what it holds. `on_ready` is called
// once, with a line of facts, when the broker has welcomed the worker. Errors are those of starting, and
// kUnsupported when the broker speaks another version of the protocol; else a worker ends by signal only.
Result<void> run_worker(const WorkerConfig& config, const Clock& clock, StopSignal& stop,
                        const std::function<void(const std::string&)>& on_ready);

}  // namespace tandem
