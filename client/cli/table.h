// Columns of text for a terminal.

#pragma once

#include <string>
#include <vector>

namespace tandem::cli {

struct Column {
  std::string title;
  size_t width_min = 0;  // a column is never cut below this, or its content
  bool right = false;    // numbers
};

// Rows of cells, as many as there are columns, made printable() and aligned. When the whole is wider than
// `width`, the widest columns give way first, down to their width_min, and what is cut ends in …
std::string render_table(const std::vector<Column>& columns,
                         const std::vector<std::vector<std::string>>& rows, size_t width);

}  // namespace tandem::cli
