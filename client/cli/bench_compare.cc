#include "client/cli/bench_compare.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

namespace tandem::cli {
namespace {

// What rounding may add to a change: exactly 5 % worse must not count as more than 5 %.
constexpr double kSlack = 1e-9;

double relative_change(double before, double after) {
  if (before == after) return 0;
  return before > 0 ? (after - before) / before : std::numeric_limits<double>::infinity();
}

Verdict judge(double change, Better better, double threshold) {
  const double gain = better == Better::kMore ? change : -change;
  if (gain < -threshold - kSlack) return Verdict::kRegression;
  return gain > threshold + kSlack ? Verdict::kImprovement : Verdict::kSame;
}

ComparedRow compare_rows(const BenchRow& before, const BenchRow& after, double threshold) {
  ComparedRow row{before.name, before, after, {}, {}};
  if (before.unit == after.unit) row.value_change = relative_change(before.value, after.value);
  if (before.share && after.share) row.share_change = relative_change(*before.share, *after.share);

  if (before.name.starts_with("ceiling.")) {
    row.verdict = Verdict::kCeiling;
  } else if (row.share_change) {
    row.by_share = true;
    row.verdict = judge(*row.share_change, Better::kMore, threshold);
  } else {
    const auto better = better_of(before.unit);
    row.verdict =
        row.value_change && better ? judge(*row.value_change, *better, threshold) : Verdict::kNotJudged;
  }
  return row;
}

}  // namespace

std::optional<Better> better_of(std::string_view unit) {
  if (unit.ends_with("/s") || unit == "x") return Better::kMore;
  constexpr std::string_view kLess[] = {"ns",    "us", "µs",  "ms",  "s",   "min",
                                        "bytes", "B",  "KiB", "MiB", "GiB", "share of prompt tokens"};
  const std::string_view amount = unit.substr(0, unit.find('/'));
  if (std::find(std::begin(kLess), std::end(kLess), amount) != std::end(kLess)) return Better::kLess;
  return std::nullopt;
}

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kSame:
      return "same";
    case Verdict::kRegression:
      return "regression";
    case Verdict::kImprovement:
      return "improvement";
    case Verdict::kCeiling:
      return "ceiling";
    case Verdict::kNotJudged:
      return "not judged";
    case Verdict::kOnlyOld:
      return "only in old";
    case Verdict::kOnlyNew:
      return "only in new";
  }
  return "";
}

size_t Comparison::count(Verdict verdict) const {
  const auto has = [&](const ComparedRow& row) { return row.verdict == verdict; };
  return static_cast<size_t>(std::count_if(rows.begin(), rows.end(), has));
}

Result<Comparison> compare_bench_rows(const std::vector<BenchRow>& before, const std::vector<BenchRow>& after,
                                      double threshold) {
  std::unordered_map<std::string_view, const BenchRow*> unmatched;
  for (const BenchRow& row : after) unmatched.emplace(row.name, &row);

  Comparison comparison{threshold, {}};
  size_t n_matched = 0;
  for (const BenchRow& row : before) {
    const auto match = unmatched.find(row.name);
    if (match == unmatched.end()) {
      comparison.rows.push_back({row.name, row, {}, {}, {}, Verdict::kOnlyOld});
      continue;
    }
    comparison.rows.push_back(compare_rows(row, *match->second, threshold));
    unmatched.erase(match);
    ++n_matched;
  }
  if (n_matched == 0)
    return fail(ErrorCode::kInvalid, "expected two runs of one benchmark, found no name that is in both");
  for (const BenchRow& row : after) {
    if (unmatched.contains(row.name))
      comparison.rows.push_back({row.name, {}, row, {}, {}, Verdict::kOnlyNew});
  }
  return comparison;
}

}  // namespace tandem::cli
