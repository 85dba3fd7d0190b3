// Two saved runs of a benchmark, row by row: what got worse, what got better, what cannot be said.

#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"

namespace tandem::cli {

// A row of `--json FILE`, which bench/report.h writes.
struct BenchRow {
  std::string name;             // "decode.q8.1"; "ceiling..." measures the machine, not us
  double value = 0;             // in `unit`, not negative
  std::string unit;             // "tokens/s"
  std::optional<double> share;  // of the ceiling that the run itself measured
};

// Which way is up, told by the unit alone. This is the only place that knows:
//
//   .../s                                    more   (tokens/s, GB/s, Gop/s, jobs/s, texts/s, 1/s, ...)
//   x                                        more   (how many times faster than another program)
//   ns us ms s min, also per thing (us/token)   less
//   bytes B KiB MiB GiB, also per thing          less
//   share of prompt tokens                      less   (what was computed of what was asked)
//
// Nothing for any other unit.
enum class Better { kMore, kLess };
std::optional<Better> better_of(std::string_view unit);

// [{"name", "value", "unit", "share"}, ...]; other fields are passed over, `share` may be null or absent.
// Errors name the file and the line and column of broken JSON, or the row and field that is not as it must
// be. A name that stands twice and a file without rows are errors.
Result<std::vector<BenchRow>> read_bench_rows(const std::filesystem::path& path);
Result<std::vector<BenchRow>> parse_bench_rows(std::string_view json);

enum class Verdict {
  kSame,         // within the threshold, which itself is within
  kRegression,   // worse by more than the threshold
  kImprovement,  // better by more than the threshold
  kCeiling,      // a row of the machine: never judged
  kNotJudged,    // no shares on both sides, and the units differ or do not tell which way is up
  kOnlyOld,
  kOnlyNew,
};
std::string_view to_string(Verdict verdict);  // "same", "regression", ..., "only in old"

struct ComparedRow {
  std::string name;
  std::optional<BenchRow> before, after;  // at least one of them
  // Relative, 0.1 is 10 % more; infinite from 0. The first is absent where the units differ, the second where
  // a share is missing.
  std::optional<double> value_change, share_change;
  Verdict verdict = Verdict::kSame;
  bool by_share = false;  // the shares decided: more is better, whatever the unit
};

struct Comparison {
  double threshold = 0;           // 0.05 for 5 %
  std::vector<ComparedRow> rows;  // in the order of the old run, then what only the new one has

  size_t count(Verdict verdict) const;
};

// Where both runs have a share, the shares are compared and not the values: machines differ, and a share is
// measured against the machine of its own run. kInvalid when no name is in both.
Result<Comparison> compare_bench_rows(const std::vector<BenchRow>& before, const std::vector<BenchRow>& after,
                                      double threshold);

// The table and a last line that counts; regressions in red, improvements in green, ceilings dim. Never cut.
std::string render_comparison(const Comparison& comparison, bool colours);
// {"threshold", "regressions", "improvements", "rows": [{"name", "unit", "old", "new", "change", "old_share",
// "new_share", "share_change", "verdict", "by"}]}; null where there is nothing, and for a change from 0.
std::string comparison_json(const Comparison& comparison);

}  // namespace tandem::cli
