// A comparison for people and for machines.

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "client/cli/bench_compare.h"
#include "client/cli/program.h"
#include "client/cli/table.h"
#include "shared/base/format.h"

namespace tandem::cli {
namespace {

// As bench/report.h prints them.
std::string number(double value) {
  if (value >= 1000) return fmt::format("{:.0f}", value);
  return value >= 100 ? fmt::format("{:.1f}", value) : fmt::format("{:.3g}", value);
}

std::string value_of(const std::optional<BenchRow>& row) {
  return row ? number(row->value) : "";
}

std::string unit_of(const ComparedRow& row) {
  if (!row.before || !row.after) return row.before ? row.before->unit : row.after->unit;
  return row.before->unit == row.after->unit ? row.after->unit : row.before->unit + " → " + row.after->unit;
}

std::string change_of(const ComparedRow& row) {
  if (!row.value_change) return "";
  if (std::isinf(*row.value_change)) return "from 0";
  return fmt::format("{:+.1f} %", *row.value_change * 100);
}

std::string share_of(const std::optional<BenchRow>& row) {
  return row && row->share ? fmt::format("{:.1f} %", *row->share * 100) : "–";
}

std::string shares_of(const ComparedRow& row) {
  const bool any = (row.before && row.before->share) || (row.after && row.after->share);
  return any ? share_of(row.before) + " → " + share_of(row.after) : "";
}

std::string by(const ComparedRow& row) {
  return row.by_share ? "share" : "value";
}

bool is_judged(const ComparedRow& row) {
  return row.verdict == Verdict::kSame || row.verdict == Verdict::kRegression ||
         row.verdict == Verdict::kImprovement;
}

std::string mark_of(const ComparedRow& row) {
  if (row.verdict == Verdict::kSame) return "";
  if (row.verdict == Verdict::kCeiling) return "the machine";
  if (row.verdict == Verdict::kNotJudged) {
    return row.value_change ? "not judged: the unit does not say which way is better"
                            : "not judged: another unit";
  }
  return std::string(to_string(row.verdict)) + (is_judged(row) ? " by " + by(row) : "");
}

std::string coloured(const std::string& line, Verdict verdict) {
  if (verdict == Verdict::kRegression) return red(line, true);
  if (verdict == Verdict::kImprovement) return green(line, true);
  return verdict == Verdict::kCeiling ? dim(line, true) : line;
}

// "9 rows: 1 regression, 2 improvements, 4 within 5 %, ..."; what there is none of is left out, but
// regressions.
std::string summary(const Comparison& comparison) {
  const auto plural = [](size_t n, const char* word) {
    return fmt::format("{} {}{}", n, word, n == 1 ? "" : "s");
  };
  std::string line = plural(comparison.rows.size(), "row") + ": " +
                     plural(comparison.count(Verdict::kRegression), "regression");
  const auto add = [&](Verdict verdict, const std::string& what) {
    if (comparison.count(verdict) > 0) line += ", " + what;
  };
  const auto n = [&](Verdict verdict) { return comparison.count(verdict); };
  add(Verdict::kImprovement, plural(n(Verdict::kImprovement), "improvement"));
  add(Verdict::kSame, fmt::format("{} within {:g} %", n(Verdict::kSame), comparison.threshold * 100));
  add(Verdict::kCeiling, fmt::format("{} of the machine", n(Verdict::kCeiling)));
  add(Verdict::kNotJudged, fmt::format("{} not judged", n(Verdict::kNotJudged)));
  add(Verdict::kOnlyOld, fmt::format("{} only in old", n(Verdict::kOnlyOld)));
  add(Verdict::kOnlyNew, fmt::format("{} only in new", n(Verdict::kOnlyNew)));
  return line + "\n";
}

}  // namespace

std::string render_comparison(const Comparison& comparison, bool colours) {
  std::vector<std::vector<std::string>> cells;
  for (const ComparedRow& row : comparison.rows) {
    cells.push_back({row.name, value_of(row.before), value_of(row.after), unit_of(row), change_of(row),
                     shares_of(row), mark_of(row)});
  }
  const std::string table = render_table(
      {{"name"}, {"old", 0, true}, {"new", 0, true}, {"unit"}, {"change", 0, true}, {"share", 0, true}, {""}},
      cells, std::numeric_limits<size_t>::max());
  if (!colours) return table + summary(comparison);

  // Whole lines take a colour, after the table has aligned and cleaned them; two lines are its head.
  std::string out;
  size_t n_line = 0;
  for (size_t begin = 0; begin < table.size(); ++n_line) {
    const size_t end = table.find('\n', begin);
    const std::string line = table.substr(begin, end - begin);
    out += (n_line < 2 ? line : coloured(line, comparison.rows[n_line - 2].verdict)) + "\n";
    begin = end + 1;
  }
  return out + summary(comparison);
}

std::string comparison_json(const Comparison& comparison) {
  using Json = nlohmann::ordered_json;
  const auto or_null = [](const std::optional<double>& number) {
    return number && std::isfinite(*number) ? Json(*number) : Json();
  };
  const auto value = [](const std::optional<BenchRow>& row) { return row ? Json(row->value) : Json(); };
  const auto share = [&](const std::optional<BenchRow>& row) { return row ? or_null(row->share) : Json(); };

  Json out = {{"threshold", comparison.threshold},
              {"regressions", comparison.count(Verdict::kRegression)},
              {"improvements", comparison.count(Verdict::kImprovement)},
              {"rows", Json::array()}};
  for (const ComparedRow& row : comparison.rows) {
    out["rows"].push_back({{"name", row.name},
                           {"unit", row.after ? row.after->unit : row.before->unit},
                           {"old", value(row.before)},
                           {"new", value(row.after)},
                           {"change", or_null(row.value_change)},
                           {"old_share", share(row.before)},
                           {"new_share", share(row.after)},
                           {"share_change", or_null(row.share_change)},
                           {"verdict", to_string(row.verdict)},
                           {"by", is_judged(row) ? Json(by(row)) : Json()}});
  }
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace tandem::cli
