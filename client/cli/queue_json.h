// What a broker says about its jobs, as JSON text for --json.

#pragma once

#include <string>
#include <vector>

#include "client/cli/act.h"
#include "client/include/tandem/client.h"

namespace tandem::cli {

// {"ready": ..., "workers": [...], "clients": [...]}, with "jobs" where `jobs` are given.
std::string status_json(const StatusReply& status, const std::vector<JobStatus>* jobs = nullptr);

struct DeadJob {
  JobStatus status;
  Error error;
};
// [{"id": ..., "error": {...}}, ...]
std::string dead_json(const std::vector<DeadJob>& jobs);

// {"id": ..., "request": {...}, "error": {...}, "results": {...}}
std::string inspected_json(const Inspected& job);

// One line: {"id": ..., "state": "done", "attempt": 1, "results": {...} or "error": {...}}
std::string fetched_json(const FetchedItem& item, bool details);

// {"<done>": n, "already": {"<state>": n}, "errors": [{"id", "code", "message"}]}
std::string acted_json(const std::string& done, const Acted& acted);

// {"id": "..."}
std::string id_json(const JobId& id);

}  // namespace tandem::cli
