// Whether a journal is what it should be: every record decodes, and the records agree with each other.

#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "broker/upkeep/journal_reader.h"

namespace tandem::broker {

inline constexpr size_t kDamagesTold = 20;

struct JournalReport {
  uint64_t n_facts = 0, n_accepted = 0, n_finished = 0, n_acknowledged = 0;
  std::array<uint64_t, static_cast<size_t>(kJobStateLast) + 1>
      n_jobs{};  // by state; those without an outcome are kReady
  uint64_t payload_bytes = 0;
  int64_t oldest_ms = 0, newest_ms = 0;  // UTC, of the facts; 0: there are none
  uint64_t n_damages = 0;
  std::vector<std::string> damages;  // the first kDamagesTold, each with its place
};

// Reads every byte. What is held to be true:
//   - each fact decodes, its head and its payload have the hashes they were written with
//   - no job is accepted twice, or finished twice
//   - each finished fact has its accepted one, of the same job, before it
//   - what is acknowledged is a finished fact
//   - the store's own counts are those of the walk
// Takes 40 bytes of memory for each job. `progress(n_done, n_all)` is called now and then. An error is one of
// reading at all; damage is in the report.
Result<JournalReport> check_journal(const JournalReader& journal,
                                    const std::function<void(uint64_t, uint64_t)>& progress = {});

}  // namespace tandem::broker
