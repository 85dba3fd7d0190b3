#include "client/cli/queue_text.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "client/cli/progress.h"
#include "client/cli/table.h"
#include "shared/base/format.h"

namespace tandem::cli {
namespace {

constexpr uint64_t kSilentMs = 5000;  // a worker that is well is heard of more often
constexpr size_t kModelChars = 12;
constexpr size_t kJournalCells = 20;
constexpr double kLeastShown = 0.01;  // of a bar: the percentage beside it is 0 below

using Rows = std::vector<std::vector<std::string>>;

}  // namespace

std::string bytes_text(uint64_t n_bytes) {
  constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB"};
  if (n_bytes < 1024) return fmt::format("{} B", n_bytes);
  double number = static_cast<double>(n_bytes) / 1024;
  size_t unit = 0;
  for (; number >= 1023.95 && unit + 1 < kUnits.size(); ++unit) number /= 1024;
  return fmt::format("{:.1f} {}", number, kUnits[unit]);
}

std::string ms_text(uint64_t ms) {
  if (ms < 1000) return fmt::format("{} ms", ms);
  return duration_text(static_cast<double>(ms) / 1000);
}

std::string bar(double share, size_t n_cells) {
  const double cells = std::clamp(share, 0.0, 1.0) * static_cast<double>(n_cells);
  const auto full = std::max<size_t>(static_cast<size_t>(cells), share >= kLeastShown ? 1 : 0);
  return "[" + std::string(full, '#') + std::string(n_cells - full, '-') + "]";
}

std::string state_text(const JobStatus& job) {
  if (job.state == JobState::kReady && job.delay_ms > 0) return "delayed " + ms_text(job.delay_ms);
  return std::string(to_string(job.state));
}

std::string worker_state(const WorkerStatus& worker) {
  std::string text = worker.is_draining ? "draining" : "";
  if (worker.silent_ms >= kSilentMs)
    text += (text.empty() ? "silent " : ", silent ") + ms_text(worker.silent_ms);
  return text;
}

std::string depth_text(const StatusReply& status) {
  std::string text = fmt::format("{} ready", status.ready);
  if (status.ready > 0) text += fmt::format(" (oldest {})", ms_text(status.oldest_ready_ms));
  return text + fmt::format(", {} delayed, {} with workers, {} dead", status.delayed, status.leased,
                            status.dead_kept);
}

std::string journal_text(const StatusReply& status) {
  if (status.journal_bytes_max == 0) return bytes_text(status.journal_bytes);
  const double share =
      static_cast<double>(status.journal_bytes) / static_cast<double>(status.journal_bytes_max);
  return fmt::format("{} {:3.0f}%  {} of {}", bar(share, kJournalCells), std::floor(share * 100),
                     bytes_text(status.journal_bytes), bytes_text(status.journal_bytes_max));
}

std::string summary_text(const StatusReply& status) {
  std::string text = depth_text(status) + "\n";
  text += fmt::format("journal {}, {} finished jobs kept\n", journal_text(status), status.finished_kept);
  text += fmt::format("in {}: {} accepted, {} finished, {} of them failed", ms_text(status.uptime_ms),
                      status.accepted_total, status.finished_total, status.failed_total);
  if (status.redelivered_total > 0) text += fmt::format(", {} sent out again", status.redelivered_total);
  if (status.joined_total > 0) text += fmt::format(", {} joined an equal one", status.joined_total);
  return text + "\n";
}

std::string workers_table(const std::vector<WorkerStatus>& workers, size_t width) {
  if (workers.empty()) return "No workers. Start one: tandem-worker\n";
  Rows rows;
  for (const WorkerStatus& worker : workers) {
    rows.push_back({worker.name, worker.host, worker.model.substr(0, kModelChars),
                    fmt::format("{}/{}", worker.leased, worker.credit_max),
                    worker.cost_max > 0 ? fmt::format("{}/{}", worker.cost_leased, worker.cost_max)
                                        : std::to_string(worker.cost_leased),
                    std::to_string(worker.finished), worker_state(worker)});
  }
  return render_table({{"worker", 8},
                       {"host", 6},
                       {"model"},
                       {"jobs", 0, true},
                       {"cost", 0, true},
                       {"finished", 0, true},
                       {"state", 8}},
                      rows, width);
}

std::string clients_table(const std::vector<ClientStatus>& clients, size_t width) {
  Rows rows;
  for (const ClientStatus& client : clients) {
    rows.push_back({client.name, std::to_string(client.unfinished), bytes_text(client.unfinished_bytes),
                    std::to_string(client.unacknowledged)});
  }
  if (rows.empty()) return "";
  return render_table({{"client", 8}, {"unfinished", 0, true}, {"bytes", 0, true}, {"to collect", 0, true}},
                      rows, width);
}

std::string jobs_table(const std::vector<JobStatus>& jobs, size_t width) {
  Rows rows;
  for (const JobStatus& job : jobs) {
    rows.push_back({job.id.to_string(), job.client, state_text(job), std::string(to_string(job.urgency)),
                    std::to_string(job.priority), std::to_string(job.attempt), ms_text(job.age_ms),
                    job.ttl_ms > 0 ? ms_text(job.ttl_ms) : "", bytes_text(job.payload_bytes), job.worker});
  }
  if (rows.empty()) return "";
  return render_table({{"job", 36},
                       {"client", 6},
                       {"state"},
                       {"urgency", 4},
                       {"pri", 0, true},
                       {"try", 0, true},
                       {"age", 0, true},
                       {"ttl left", 0, true},
                       {"size", 0, true},
                       {"worker", 6}},
                      rows, width);
}

}  // namespace tandem::cli
