#include "client/cli/top_frame.h"

#include <algorithm>
#include <array>

#include "client/cli/program.h"
#include "client/cli/queue_text.h"
#include "client/cli/table.h"
#include "client/cli/width.h"
#include "shared/base/format.h"

namespace tandem::cli {
namespace {

using std::chrono::seconds;

constexpr Duration kWindow = seconds(60);
constexpr Duration kSilentAfter = seconds(3);
constexpr size_t kLoadCells = 10;
constexpr size_t kSparkCells = 60;

using Rows = std::vector<std::vector<std::string>>;

std::string rate_text(std::optional<double> per_s) {
  return per_s ? fmt::format("{:.1f}/s", *per_s) : "-";
}

double share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

// The lines of `table` that fit; the last one says how many are left out. Two of them are the head.
void add_table(std::vector<std::string>& lines, const std::string& table, size_t n_max) {
  std::vector<std::string> all;
  for (size_t begin = 0; begin < table.size();) {
    const size_t end = std::min(table.find('\n', begin), table.size());
    all.push_back(table.substr(begin, end - begin));
    begin = end + 1;
  }
  if (n_max < 3) return;
  if (all.size() > n_max) {
    const size_t n_left_out = all.size() - (n_max - 1);
    all.resize(n_max - 1);
    all.push_back(fmt::format("… and {} more", n_left_out));
  }
  lines.insert(lines.end(), all.begin(), all.end());
}

std::string workers_part(const StatusReply& status, size_t width) {
  if (status.workers.empty()) return "No workers. Start one: tandem-worker\n";
  std::vector<WorkerStatus> workers = status.workers;
  std::sort(workers.begin(), workers.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  Rows rows;
  for (const WorkerStatus& worker : workers) {
    const double load = share(worker.leased, worker.credit_max);
    const double cost = share(worker.cost_leased, worker.cost_max);
    rows.push_back({worker.name, worker.host,
                    fmt::format("{} {}/{}", bar(load, kLoadCells), worker.leased, worker.credit_max),
                    worker.cost_max == 0
                        ? std::to_string(worker.cost_leased)
                        : fmt::format("{} {:3.0f}%", bar(cost, kLoadCells), std::min(cost, 9.99) * 100),
                    std::to_string(worker.finished), worker_state(worker)});
  }
  return render_table({{"worker", 8}, {"host", 4}, {"jobs"}, {"cost"}, {"finished", 0, true}, {"state", 6}},
                      rows, width);
}

std::string clients_part(const StatusReply& status, size_t width) {
  std::vector<ClientStatus> clients = status.clients;
  std::stable_sort(clients.begin(), clients.end(),
                   [](const auto& a, const auto& b) { return a.unfinished > b.unfinished; });
  return clients_table(clients, width);
}

}  // namespace

void TopHistory::add(StatusReply status, TimePoint now) {
  if (!samples_.empty() && now <= samples_.back().at) return;
  samples_.push_back(
      {now, status.accepted_total, status.finished_total, status.uptime_ms, status.ready + status.delayed});
  while (samples_.size() > 2 && now - samples_.front().at > kWindow) samples_.pop_front();
  latest_ = std::move(status);
}

std::optional<double> TopHistory::rate(uint64_t Sample::*total) const {
  if (samples_.size() < 2) return {};
  const Sample& before = samples_[samples_.size() - 2];
  const Sample& last = samples_.back();
  if (last.uptime_ms < before.uptime_ms || last.*total < before.*total) return {};
  return static_cast<double>(last.*total - before.*total) /
         std::chrono::duration<double>(last.at - before.at).count();
}

std::optional<double> TopHistory::accepted_per_s() const {
  return rate(&Sample::accepted);
}
std::optional<double> TopHistory::finished_per_s() const {
  return rate(&Sample::finished);
}

std::vector<std::optional<uint64_t>> TopHistory::depths(size_t n_cells) const {
  std::vector<std::optional<uint64_t>> depths(n_cells);
  for (const Sample& sample : samples_) {
    const Duration age = samples_.back().at - sample.at;
    const auto back = static_cast<size_t>(age / (kWindow / static_cast<int64_t>(n_cells)));
    if (back >= n_cells) continue;
    auto& cell = depths[n_cells - 1 - back];
    cell = std::max(cell.value_or(0), sample.depth);
  }
  return depths;
}

std::string sparkline(const std::vector<std::optional<uint64_t>>& values) {
  constexpr std::array kBlocks = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  uint64_t most = 0;
  for (const auto& value : values) most = std::max(most, value.value_or(0));
  std::string line;
  for (const auto& value : values) {
    if (!value) {
      line += ' ';
    } else {
      line += kBlocks[static_cast<size_t>(share(*value, most) * (kBlocks.size() - 1) + 0.5)];
    }
  }
  return line;
}

std::string render_top(const TopHistory& history, TimePoint now, const std::string& where,
                       const TopStyle& style) {
  const size_t width = style.size.width;
  std::vector<std::string> lines;
  const auto add = [&](const std::string& line) { lines.push_back(cut_to_width(line, width)); };
  lines.push_back(bold(cut_to_width("tandem top  " + printable(where), width), style.colours));
  if (history.empty()) {
    lines.push_back(red(cut_to_width("no answer from the broker yet", width), style.colours));
  } else {
    const StatusReply& status = history.latest();
    if (const Duration silent = now - history.latest_at(); silent >= kSilentAfter) {
      const auto ms = static_cast<uint64_t>(std::chrono::duration_cast<milliseconds>(silent).count());
      lines.push_back(
          red(cut_to_width("no answer from the broker for " + ms_text(ms) + "; this is from before", width),
              style.colours));
    } else {
      add(fmt::format("up {}", ms_text(status.uptime_ms)));
    }
    add("");
    add(fmt::format("accepted  {:<12} finished {:<12} failed {}, sent out again {}, joined {}",
                    rate_text(history.accepted_per_s()), rate_text(history.finished_per_s()),
                    status.failed_total, status.redelivered_total, status.joined_total));
    const std::string depth = cut_to_width("queue     " + depth_text(status), width);
    lines.push_back(status.dead_kept > 0 ? red(depth, style.colours) : depth);
    const size_t n_cells = std::clamp<size_t>(width > 30 ? width - 30 : 0, 10, kSparkCells);
    const auto depths = history.depths(n_cells);
    uint64_t most = 0;
    for (const auto& value : depths) most = std::max(most, value.value_or(0));
    add(fmt::format("1 minute  {} most {}", sparkline(depths), most));
    add("journal   " + journal_text(status));
    add("");
    // Workers have what clients leave of the height, and at least half of it.
    const size_t foot = style.has_keys ? 1 : 0;
    const size_t n_left = style.size.height - std::min(style.size.height, lines.size() + 1 + foot);
    const size_t n_clients = status.clients.empty() ? 0 : std::min(status.clients.size() + 2, n_left / 2);
    add_table(lines, workers_part(status, width), n_left - n_clients);
    if (n_clients > 0) {
      add("");
      add_table(lines, clients_part(status, width), n_clients);
    }
  }
  const size_t n_max = style.size.height - (style.has_keys ? 1 : 0);
  if (lines.size() > n_max) lines.resize(n_max);
  if (style.has_keys) lines.push_back(dim("q ends", style.colours));
  std::string frame;
  for (const std::string& line : lines) frame += line + "\n";
  return frame;
}

}  // namespace tandem::cli
