#include "client/cli/table.h"

#include <algorithm>
#include <numeric>

#include "client/cli/width.h"
#include "shared/base/assert.h"

namespace tandem::cli {
namespace {

constexpr size_t kGap = 2;

// Takes columns from the widest until the sum fits, or nothing can give way any more.
void shrink(std::vector<size_t>& widths, const std::vector<Column>& columns, size_t width) {
  const size_t gaps = kGap * (columns.size() - 1);
  while (std::accumulate(widths.begin(), widths.end(), gaps) > width) {
    size_t widest = columns.size();
    for (size_t i = 0; i < columns.size(); ++i) {
      if (widths[i] <= std::max<size_t>(columns[i].width_min, 1)) continue;
      if (widest == columns.size() || widths[i] > widths[widest]) widest = i;
    }
    if (widest == columns.size()) return;
    --widths[widest];
  }
}

}  // namespace

std::string render_table(const std::vector<Column>& columns,
                         const std::vector<std::vector<std::string>>& rows, size_t width) {
  TANDEM_ASSERT(!columns.empty(), "a table has columns");
  std::vector<std::vector<std::string>> cells;
  cells.emplace_back();
  for (const Column& column : columns) cells.back().push_back(column.title);
  for (const auto& row : rows) {
    TANDEM_ASSERT(row.size() == columns.size(), "a row has a cell for each column");
    cells.emplace_back();
    for (const std::string& cell : row) cells.back().push_back(printable(cell));
  }

  std::vector<size_t> widths(columns.size(), 0);
  for (const auto& row : cells) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i]));
  }
  shrink(widths, columns, width);

  std::string out;
  const auto add_line = [&](const std::vector<std::string>& row) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      if (i > 0) line.append(kGap, ' ');
      const std::string cut = cut_to_width(row[i], widths[i]);
      const std::string fill(widths[i] - display_width(cut), ' ');
      line += columns[i].right ? fill + cut : cut + fill;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  };
  add_line(cells.front());
  std::vector<std::string> rule;
  for (const size_t n : widths) {
    std::string dashes;
    for (size_t i = 0; i < n; ++i) dashes += "─";
    rule.push_back(dashes);
  }
  add_line(rule);
  for (size_t i = 1; i < cells.size(); ++i) add_line(cells[i]);
  return out;
}

}  // namespace tandem::cli
