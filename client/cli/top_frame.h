// What `tandem top` shows. Pure: what the broker said, and when, in; text out.

#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/terminal.h"
#include "shared/base/clock.h"
#include "shared/protocol/messages.h"

namespace tandem::cli {

// What the broker said in the last minute.
class TopHistory {
 public:
  void add(StatusReply status, TimePoint now);

  bool empty() const { return samples_.empty(); }
  const StatusReply& latest() const { return latest_; }
  TimePoint latest_at() const { return samples_.back().at; }
  // Per second, between the last two samples. Nothing before there are two, or across a restart of the
  // broker.
  std::optional<double> accepted_per_s() const;
  std::optional<double> finished_per_s() const;
  // Jobs waiting for a worker or for their time, a value for each of `n_cells` equal parts of the last
  // minute, the newest last; the most of each part. Nothing for a part without a sample.
  std::vector<std::optional<uint64_t>> depths(size_t n_cells) const;

 private:
  struct Sample {
    TimePoint at;
    uint64_t accepted, finished, uptime_ms, depth;
  };
  std::optional<double> rate(uint64_t Sample::*total) const;

  std::deque<Sample> samples_;
  StatusReply latest_;
};

struct TopStyle {
  ScreenSize size;
  bool colours = false;
  bool has_keys = false;  // says how to leave
};

// Lines of at most size.width columns, at most size.height of them. `where`: the broker's endpoint. A broker
// that has not answered for a while (`now`) is said in the first lines; the rest is what it said last.
std::string render_top(const TopHistory& history, TimePoint now, const std::string& where,
                       const TopStyle& style);

// "▁▂▅█ ", scaled to the largest; a space where there is nothing.
std::string sparkline(const std::vector<std::optional<uint64_t>>& values);

}  // namespace tandem::cli
