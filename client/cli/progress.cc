#include "client/cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "client/cli/width.h"
#include "shared/base/format.h"

namespace tandem::cli {
namespace {

constexpr Duration kWindow = std::chrono::seconds(10);
constexpr Duration kSampleEvery = milliseconds(100);
constexpr Duration kBarEvery = milliseconds(100);
constexpr Duration kJsonEvery = std::chrono::seconds(1);
constexpr size_t kBarWidth = 20;

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

void ProgressRate::add(const RunCounts& counts, TimePoint now) {
  latest_ = counts;
  const Sample sample{now, counts.done, counts.tokens};
  // The newest sample moves along until it is far enough from the one before.
  if (samples_.size() >= 2 && samples_.back().at - samples_[samples_.size() - 2].at < kSampleEvery) {
    samples_.back() = sample;
  } else {
    samples_.push_back(sample);
  }
  while (samples_.size() > 2 && now - samples_[1].at >= kWindow) samples_.pop_front();
}

double ProgressRate::rows_per_s() const {
  if (samples_.size() < 2 || samples_.back().at <= samples_.front().at) return 0;
  return static_cast<double>(samples_.back().done - samples_.front().done) /
         seconds(samples_.back().at - samples_.front().at);
}

double ProgressRate::tokens_per_s() const {
  if (samples_.size() < 2 || samples_.back().at <= samples_.front().at) return 0;
  return static_cast<double>(samples_.back().tokens - samples_.front().tokens) /
         seconds(samples_.back().at - samples_.front().at);
}

std::optional<double> ProgressRate::time_left() const {
  const double rate = rows_per_s();
  if (!latest_.total || rate <= 0) return {};
  return static_cast<double>(*latest_.total - std::min(*latest_.total, latest_.done)) / rate;
}

std::string duration_text(double duration) {
  const auto s = static_cast<uint64_t>(std::max(0.0, std::ceil(duration)));
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
  return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
}

std::string progress_bar(const RunCounts& counts, const ProgressRate& rate, size_t width) {
  std::string line;
  if (counts.total && *counts.total > 0) {
    const double share = std::min(1.0, static_cast<double>(counts.done) / static_cast<double>(*counts.total));
    const auto full = static_cast<size_t>(share * kBarWidth);
    line = fmt::format("[{}{}] {:3.0f}%  {}/{}", std::string(full, '#'), std::string(kBarWidth - full, '-'),
                       std::floor(share * 100), counts.done, *counts.total);
  } else {
    line = fmt::format("{} rows", counts.done);
  }
  if (counts.failed > 0) line += fmt::format("  {} failed", counts.failed);
  if (counts.cached > 0) line += fmt::format("  {} cached", counts.cached);
  if (!counts.held_back.empty()) {
    return cut_to_width(line + "  broker full: " + printable(counts.held_back) + ", waiting", width);
  }
  line += fmt::format("  {:.1f} rows/s  {:.0f} tokens/s", rate.rows_per_s(), rate.tokens_per_s());
  if (const auto left = rate.time_left(); left && *left > 0) line += "  " + duration_text(*left) + " left";
  return cut_to_width(line, width);
}

std::string progress_json(const RunCounts& counts, const ProgressRate& rate) {
  const auto left = rate.time_left();
  return fmt::format(
      R"({{"done":{},"total":{},"failed":{},"cached":{},"rows_per_s":{:.3f},"tokens_per_s":{:.3f},"seconds_left":{},"held_back":{}}})",
      counts.done, counts.total ? std::to_string(*counts.total) : "null", counts.failed, counts.cached,
      rate.rows_per_s(), rate.tokens_per_s(), left ? fmt::format("{:.1f}", *left) : "null",
      !counts.held_back.empty());
}

Result<ProgressPrinter::Mode> ProgressPrinter::mode_from(const std::string& name) {
  if (name == "auto") return ::isatty(STDERR_FILENO) != 0 ? Mode::kBar : Mode::kNone;
  if (name == "bar") return Mode::kBar;
  if (name == "json") return Mode::kJson;
  if (name == "none") return Mode::kNone;
  return fail(ErrorCode::kInvalid, "--progress: expected auto, bar, json or none, found '" + name + "'");
}

void ProgressPrinter::show(const RunCounts& counts, TimePoint now, bool at_once) {
  rate_.add(counts, now);
  if (mode_ == Mode::kNone) return;
  const Duration every = mode_ == Mode::kBar ? kBarEvery : kJsonEvery;
  if (!at_once && shown_at_ && now - *shown_at_ < every) return;
  shown_at_ = now;
  if (mode_ == Mode::kJson) {
    std::fprintf(stderr, "%s\n", progress_json(counts, rate_).c_str());
    return;
  }
  const size_t width = terminal_width(STDERR_FILENO, 100);
  std::fprintf(stderr, "\r\033[K%s", progress_bar(counts, rate_, width - 1).c_str());
  std::fflush(stderr);
  on_screen_ = true;
}

void ProgressPrinter::note(const std::string& text) {
  clear();
  std::fprintf(stderr, "%s\n", text.c_str());
}

void ProgressPrinter::clear() {
  if (!on_screen_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  on_screen_ = false;
}

}  // namespace tandem::cli
