// Other queues, run the way ours is: the same jobs, producer and number of workers, as durable as they can
// be, every message as large as what waits. Where one is installed; neither is needed to build or to test
// Tandem.

#pragma once

#include <memory>

#include "bench/queue_life.h"
#include "shared/base/result.h"

namespace tandem::bench {

// Each starts a server with an empty store in a temporary folder. kNotFound when it is not installed.

// Redis Streams with `appendfsync always`, over a unix socket: XADD; XREADGROUP by two consumers, which XADD
// to a second stream and then XACK; XREAD of that by the producer.
Result<std::unique_ptr<RunningQueue>> start_redis();

// NATS JetStream with file storage, over loopback: published with acknowledgement; pulled by two consumers,
// which publish to a second stream and acknowledge the job once that is stored; pushed to the producer. The
// server acknowledges before it syncs (every two minutes by default), so it promises less.
Result<std::unique_ptr<RunningQueue>> start_nats();

}  // namespace tandem::bench
