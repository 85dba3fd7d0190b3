// What every benchmark here prints: a table for people and, with --json FILE, rows for machines.

#pragma once

#include "shared/base/format.h"

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "shared/base/file.h"

namespace tandem::bench {

// One measurement. Names are of small letters, digits and dots, and stay: they are compared over time.
struct Row {
  std::string name;             // "decode.f32.1"
  double value = 0;             // in `unit`
  std::string unit;             // "tokens/s"; it tells which way is better (bench/README.md)
  std::optional<double> share;  // of the ceiling that this run measured, 0..1; none where there is no ceiling
  std::string note;             // for the table only: which ceiling, which size
};

// Prints rows as they come, so that a long run shows that it lives. One thread.
class Report {
 public:
  void add(Row row) {
    if (rows_.empty()) fmt::print("{:<26} {:>12} {:<10} {:>7}  {}\n", "name", "value", "unit", "share", "");
    fmt::print("{:<26} {:>12} {:<10} {:>7}  {}\n", row.name, number(row.value), row.unit,
               row.share ? fmt::format("{:.1f} %", *row.share * 100) : "", row.note);
    std::fflush(stdout);
    rows_.push_back(std::move(row));
  }

  // [{"name": "decode.f32.1", "value": 7.9, "unit": "tokens/s", "share": 0.56}, ...]
  std::string to_json() const {
    std::string json = "[";
    for (const Row& row : rows_) {
      json += fmt::format("{}\n  {{\"name\": \"{}\", \"value\": {}, \"unit\": \"{}\", \"share\": {}}}",
                          json.size() > 1 ? "," : "", row.name, row.value, row.unit,
                          row.share ? fmt::format("{}", *row.share) : "null");
    }
    return json + "\n]\n";
  }

  // Does nothing without a path.
  Result<void> write_json(const std::string& path) const {
    if (path.empty()) return {};
    return write_file_atomically(path, to_json());
  }

 private:
  static std::string number(double value) {
    if (value >= 1000) return fmt::format("{:.0f}", value);
    return value >= 100 ? fmt::format("{:.1f}", value) : fmt::format("{:.3g}", value);
  }

  std::vector<Row> rows_;
};

}  // namespace tandem::bench
