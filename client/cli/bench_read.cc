// What a benchmark wrote to rows. Every rule that a file can break is here.

#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "client/cli/bench_compare.h"
#include "shared/base/file.h"

namespace tandem::cli {
namespace {

using Json = nlohmann::json;

constexpr size_t kRunBytesMax = 16u << 20;  // a row has about 100 bytes
constexpr size_t kQuotedMax = 60;           // of what was found, in an error

std::string found(const Json& value) {
  const std::string text = value.dump(-1, ' ', true);
  return text.size() <= kQuotedMax ? text : text.substr(0, kQuotedMax) + "...";
}

// `what` of the row's `field`, or what is there instead.
tl::unexpected<Error> expected(const char* what, const Json& row, const char* field) {
  const auto at = row.find(field);
  return fail(ErrorCode::kInvalid, std::string("\"") + field + "\": expected " + what + ", found " +
                                       (at == row.end() ? "nothing" : found(*at)));
}

Result<std::string> read_text(const Json& row, const char* field) {
  const auto at = row.find(field);
  if (at == row.end() || !at->is_string() || at->get_ref<const std::string&>().empty())
    return expected("a string that is not empty", row, field);
  return at->get<std::string>();
}

bool is_figure(const Json& value) {
  return value.is_number() && std::isfinite(value.get<double>()) && value.get<double>() >= 0;
}

Result<BenchRow> read_row(const Json& json) {
  if (!json.is_object()) return fail(ErrorCode::kInvalid, "expected an object, found " + found(json));
  BenchRow row;
  TANDEM_ASSIGN(row.name, read_text(json, "name"));
  TANDEM_ASSIGN(row.unit, read_text(json, "unit"));
  const auto value = json.find("value");
  if (value == json.end() || !is_figure(*value)) return expected("a number from 0 up", json, "value");
  row.value = value->get<double>();
  const auto share = json.find("share");
  if (share == json.end() || share->is_null()) return row;
  if (!is_figure(*share)) return expected("a number from 0 up, or null", json, "share");
  row.share = share->get<double>();
  return row;
}

// "[json.exception.parse_error.101] parse error at line 2, column 3: syntax error ..." from "line" on.
std::string place_of(const Json::exception& error) {
  const std::string text = error.what();
  const size_t at = text.find(" at line ");
  return at == std::string::npos ? ": " + text : text.substr(at);
}

}  // namespace

Result<std::vector<BenchRow>> parse_bench_rows(std::string_view text) try {
  const Json json = Json::parse(text);
  if (!json.is_array()) return fail(ErrorCode::kInvalid, "expected a list of rows, found " + found(json));
  if (json.empty()) return fail(ErrorCode::kInvalid, "expected a list of rows, found an empty one");
  std::vector<BenchRow> rows;
  std::unordered_set<std::string> names;
  for (const Json& one : json) {
    const std::string place = "row " + std::to_string(rows.size() + 1);
    auto row = read_row(one);
    if (!row) return fail_in(place, std::move(row).error());
    if (!names.insert(row->name).second)
      return fail(ErrorCode::kInvalid,
                  place + ": \"name\": expected one that no row above has, found " + found(row->name));
    rows.push_back(*std::move(row));
  }
  return rows;
} catch (const Json::exception& error) {
  return fail(ErrorCode::kInvalid,
              "expected the rows that a benchmark writes with --json, found broken JSON" + place_of(error));
}

Result<std::vector<BenchRow>> read_bench_rows(const std::filesystem::path& path) {
  TANDEM_ASSIGN(const std::string text, read_file(path, kRunBytesMax));
  auto rows = parse_bench_rows(text);
  if (!rows) return fail_in(path.string(), std::move(rows).error());
  return rows;
}

}  // namespace tandem::cli
