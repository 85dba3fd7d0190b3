// What a broker is doing, in words for a terminal. Pure: values in, text out.

#pragma once

#include <string>
#include <vector>

#include "shared/protocol/messages.h"

namespace tandem::cli {

// "1.2 GiB", "640 B"
std::string bytes_text(uint64_t n_bytes);
// "250 ms", "12 s", "3 min 20 s"
std::string ms_text(uint64_t ms);
// "[####------]", `n_cells` between the brackets; a share above 1 is full. Empty only for nothing at all.
std::string bar(double share, size_t n_cells);
// "ready", "delayed 3 s", "leased"
std::string state_text(const JobStatus& job);
// "draining", "silent 12 s"; empty for a worker that is well
std::string worker_state(const WorkerStatus& worker);
// "1200 ready (oldest 12 s), 40 delayed, 16 with workers, 3 dead"
std::string depth_text(const StatusReply& status);
// "[####------]  41%  410.0 MiB of 1.0 GiB"; what is used where there is no limit.
std::string journal_text(const StatusReply& status);

// Paragraphs that end in a line end. Tables are cut to `width` columns.
std::string summary_text(const StatusReply& status);
std::string workers_table(const std::vector<WorkerStatus>& workers, size_t width);
std::string clients_table(const std::vector<ClientStatus>& clients, size_t width);
std::string jobs_table(const std::vector<JobStatus>& jobs, size_t width);

}  // namespace tandem::cli
