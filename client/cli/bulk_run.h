// The loop of `tandem run`: lines in, jobs out, outcomes in, rows out, with a bounded number of each in
// memory.

#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include "client/cli/line_reader.h"
#include "client/cli/progress.h"
#include "client/cli/row.h"
#include "client/cli/row_writer.h"
#include "client/cli/worker_watch.h"
#include "client/include/tandem/client.h"

namespace tandem::cli {

struct BulkSettings {
  JobRequest defaults;  // tasks, options and variables of lines that say nothing else
  SubmitOptions queue;  // how each of them waits
  RowStyle style;
  bool ordered = true;           // output in the order of input
  size_t outstanding_max = 256;  // jobs with the broker at a time
  size_t waiting_max = 2048;     // rows in memory: outstanding, or finished and waiting for their turn
  size_t waiting_bytes_max = 64u << 20;
};

// Everything is given: what it runs on outlives it.
//
// A later run that resumes needs two things from here: job ids that a row always gets again (id_for), and
// rows of OUT.partial to pass over (read_rows).
class BulkRun {
 public:
  struct Parts {
    Client& client;
    LineReader& in;
    RowWriter& out;
    ProgressPrinter& progress;
    const Clock& clock;
    std::function<bool()> stop;           // asked often; true ends the run early
    std::function<Result<void>()> alive;  // an error ends it, too: the embedded broker or worker died
  };
  BulkRun(Parts parts, BulkSettings settings) : parts_(std::move(parts)), settings_(std::move(settings)) {}

  // Until every line has its row in `out`, or stop(). The error is one of the whole run: reading, writing, or
  // alive().
  Result<void> run();

  const RunCounts& counts() const { return counts_; }
  bool stopped() const { return stopped_; }
  // Rows in `out`. When the run ends early in ordered mode, fewer than are done: what was waiting for an
  // earlier row is not written.
  uint64_t n_written() const { return n_written_; }

 private:
  struct Waiting {
    InputRow row;
    size_t n_bytes = 0;
    std::optional<std::string> text;  // finished
  };

  Result<void> read_rows();
  bool may_read() const;
  Result<void> start(InputRow row);
  Result<void> hear(std::vector<ClientEvent> events);
  Result<void> finish(uint64_t sequence, const Result<JobResult>& result);
  Result<void> write_in_order();
  void look_after_broker();
  Result<void> call_off();

  Parts parts_;
  const BulkSettings settings_;
  RunCounts counts_;
  std::map<uint64_t, Waiting> waiting_;         // by place in the input
  std::unordered_map<JobId, uint64_t> places_;  // of jobs with the broker
  size_t waiting_bytes_ = 0;
  uint64_t next_place_ = 0;
  uint64_t n_written_ = 0;
  bool at_end_ = false;
  bool stopped_ = false;
  TimePoint flushed_at_{};
  std::optional<TimePoint> silent_since_;
  bool said_silent_ = false;
  bool said_full_ = false;
  WorkerWatch workers_;
};

}  // namespace tandem::cli
