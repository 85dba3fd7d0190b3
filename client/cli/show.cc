// tandem show: the output of a run as a table.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "client/cli/line_reader.h"
#include "client/cli/program.h"
#include "client/cli/shown_row.h"
#include "client/cli/table.h"
#include "client/cli/width.h"
#include "shared/base/limits.h"

namespace tandem::cli {
namespace {

struct ShowOptions {
  std::string in;
  size_t rows_max = 100;
  size_t width = 0;
};

constexpr size_t kOutputLineBytesMax = 4 * limits::kJsonLineBytesMax;  // input and results together

constexpr const char* kExamples = R"(Examples:
  tandem show answers.jsonl
  tandem show answers.jsonl --rows 10 --width 160)";

int show(const ShowOptions& options) {
  auto in = LineReader::open(options.in, kOutputLineBytesMax);
  if (!in) return complain("show", in.error(), kUsage);
  std::vector<std::vector<std::string>> rows;
  size_t n_rows = 0, n_failed = 0, n_cached = 0;
  uint64_t prompt_tokens = 0, cached_tokens = 0;
  for (;;) {
    const auto line = in->next();
    if (!line) return complain("show", line.error(), kUsage);
    if (in->interrupted()) return kInterrupted;
    if (!*line) break;
    const auto row = read_shown_row((*line)->text);
    if (!row) {
      return complain(
          "show",
          {ErrorCode::kInvalid, options.in + ":" + std::to_string((*line)->number) + ": " + row.error().text},
          kUsage);
    }
    ++n_rows;
    n_failed += row->failed ? 1 : 0;
    n_cached += row->cached ? 1 : 0;
    prompt_tokens += row->prompt_tokens;
    cached_tokens += row->cached_tokens;
    if (rows.size() >= options.rows_max) continue;
    rows.push_back({row->text, row->label, row->probability, row->reply, row->source, row->time});
  }
  const size_t width = options.width != 0 ? options.width : terminal_width(STDOUT_FILENO, 120);
  std::cout << render_table(
      {{"text", 16}, {"label"}, {"probability", 0, true}, {"reply", 16}, {"source"}, {"time", 0, true}}, rows,
      width);
  if (rows.size() < n_rows) std::cout << "… and " << n_rows - rows.size() << " more rows (--rows)\n";
  std::cout << n_rows << " rows, " << n_failed << " failed, " << n_cached << " from the cache\n";
  if (prompt_tokens > 0) {
    std::cout << prompt_tokens << " prompt tokens, " << cached_tokens
              << " of them known from other prompts\n";
  }
  return kGood;
}

}  // namespace

void add_show(CLI::App& app, Program& program) {
  const auto options = std::make_shared<ShowOptions>();
  CLI::App* verb = app.add_subcommand("show", "The output of a run as a table");
  verb->add_option("OUT", options->in, "What `tandem run` wrote; - is standard input")->required();
  verb->add_option("--rows", options->rows_max, "Show so many")->capture_default_str();
  verb->add_option("--width", options->width, "Columns of the table [the terminal's]")
      ->check(CLI::Range(40, 1000));
  verb->footer(kExamples);
  verb->callback([options, &program] { program.exit_code = show(*options); });
}

}  // namespace tandem::cli
