// tandem bench compare: two saved runs of a benchmark, and what got worse.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <iostream>
#include <memory>

#include "client/cli/bench_compare.h"
#include "client/cli/program.h"
#include "shared/base/file.h"

namespace tandem::cli {
namespace {

struct CompareOptions {
  std::string before, after;
  std::string threshold = "5%";
  std::string json;
};

constexpr const char* kVerb = "bench compare";

constexpr const char* kExamples = R"(Example:
  tandem bench compare monday.json today.json)";

constexpr const char* kCompareExamples =
    R"(OLD and NEW are what a benchmark wrote with --json (bench/README.md). Rows are matched by name.

Where both runs have a share of a ceiling, the share decides and not the figure: figures move with
the machine, a share is measured against the machine of its own run. Other rows are judged by
their figure, and runs from two machines will differ there: more is better for what is counted
per second, less for times, bytes and shares of prompt tokens; other units are not judged.
Rows of ceilings show how the machines differ and are never regressions.

Exit codes: 0 nothing got worse by more than the threshold, 1 something did, 2 wrong usage or a file
that is not as it must be, 4 the comparison could not be written (disk full).

Examples:
  tandem bench compare monday.json today.json
  tandem bench compare monday.json today.json --threshold 2.5% --json compared.json)";

// "5%", "2.5 %"; the sign is a must, because 0.05 could mean two things.
Result<double> parse_percent(std::string_view text) {
  double percent = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, percent, std::chars_format::fixed);
  const std::string_view sign(rest, static_cast<size_t>(end - rest));
  if (failure == std::errc{} && percent >= 0 && percent <= 100 && (sign == "%" || sign == " %"))
    return percent / 100;
  return fail(ErrorCode::kInvalid, "--threshold: expected a percentage from 0% to 100% such as 5%, found '" +
                                       std::string(text) + "'");
}

Result<Comparison> compare_files(const CompareOptions& options) {
  TANDEM_ASSIGN(const double threshold, parse_percent(options.threshold));
  TANDEM_ASSIGN(const auto before, read_bench_rows(options.before));
  TANDEM_ASSIGN(const auto after, read_bench_rows(options.after));
  auto comparison = compare_bench_rows(before, after, threshold);
  if (!comparison) return fail_in(options.before + " and " + options.after, std::move(comparison).error());
  return comparison;
}

int compare(const CompareOptions& options) {
  const auto comparison = compare_files(options);
  if (!comparison) return complain(kVerb, comparison.error(), kUsage);
  std::cout << render_comparison(*comparison, colours_welcome(STDOUT_FILENO)) << std::flush;
  if (!options.json.empty()) {
    const auto written = write_file_atomically(options.json, comparison_json(*comparison));
    if (!written) return complain(kVerb, written.error(), exit_code_of(written.error()));
  }
  return comparison->count(Verdict::kRegression) > 0 ? kSomeFailed : kGood;
}

}  // namespace

void add_bench(CLI::App& app, Program& program) {
  const auto options = std::make_shared<CompareOptions>();
  CLI::App* bench = app.add_subcommand("bench", "Saved runs of benchmarks");
  bench->require_subcommand(1);
  bench->footer(kExamples);
  CLI::App* verb = bench->add_subcommand("compare", "What got worse from one run to another");
  verb->add_option("OLD", options->before, "The run to compare with")->required();
  verb->add_option("NEW", options->after, "The run in question")->required();
  verb->add_option("--threshold", options->threshold, "A change counts when it is more than this")
      ->capture_default_str();
  verb->add_option("--json", options->json, "Write the comparison to this file too");
  verb->footer(kCompareExamples);
  verb->callback([options, &program] { program.exit_code = compare(*options); });
}

}  // namespace tandem::cli
