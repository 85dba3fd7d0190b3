// The parts of bench_cache.

#pragma once

#include <filesystem>

#include "bench/report.h"

namespace tandem::bench {

// The answer cache by itself: look-ups, misses, stores, at ten thousand to a million answers.
void measure_exact(bool quick, Report& report);

// Jobs that were answered before, from submit to result: one client, broker and worker, each a process (the
// client is this one). `model` is a folder of a small model, since it answers each text once.
void measure_jobs(const std::filesystem::path& model, bool quick, Report& report);

// "cache.kv.load" and "cache.kv.compute", ms for a beginning of 256 tokens, medians: from the store's file
// (in the page cache) into the KV cache, checked; and through the model.
void measure_kv(const std::filesystem::path& model, bool quick, Report& report);

}  // namespace tandem::bench
