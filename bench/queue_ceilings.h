// What no durable queue on this disk can pass.

#pragma once

#include <cstddef>

#include "bench/queue_life.h"

namespace tandem::bench {

// Facts of a job's size per second into a bare store of the journal's kind, so many to a synced commit.
double bare_facts_per_second(size_t n_facts, Seconds time);

// The median time of adding 512 B to a file and syncing it.
double bare_sync_us(Seconds time);

}  // namespace tandem::bench
