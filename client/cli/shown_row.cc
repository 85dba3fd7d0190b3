#include "client/cli/shown_row.h"

#include <nlohmann/json.hpp>

#include "shared/base/format.h"

namespace tandem::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string text_of(const Json& object, const char* field) {
  const auto at = object.find(field);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

void join(std::string& all, const std::string& one, std::string_view between) {
  if (one.empty()) return;
  if (!all.empty()) all += between;
  all += one;
}

std::string error_text(const Json& error) {
  return error.is_object() ? "error: " + text_of(error, "message") : std::string("error");
}

std::string input_text(const Json& row) {
  for (const char* field : {"text", "prompt"}) {
    if (row.contains(field)) return text_of(row, field);
  }
  const auto messages = row.find("messages");
  if (messages != row.end() && messages->is_array() && !messages->empty() && messages->back().is_object()) {
    return text_of(messages->back(), "content");
  }
  const auto line = row.find("line");
  return line != row.end() ? "(line " + line->dump() + ")" : std::string();
}

void add_task(ShownRow& row, const Json& task, double& total_ms) {
  if (task.contains("error")) {
    row.failed = true;
    row.cached = false;
    join(row.reply, error_text(task["error"]), " / ");
    return;
  }
  if (task.contains("label")) {
    const std::string display = text_of(task, "display"), label = text_of(task, "label");
    join(row.label, !display.empty() ? display : !label.empty() ? label : text_of(task, "reason"), " / ");
    const auto probability = task.find("probability");
    if (probability != task.end() && probability->is_number()) {
      join(row.probability, fmt::format("{:.2f}", probability->get<double>()), " / ");
    }
  }
  join(row.reply, text_of(task, "text"), " / ");
  const std::string source = text_of(task, "source");
  if (row.source != source) join(row.source, source, "/");
  row.cached &= source != "model";
  if (const auto usage = task.find("usage"); source == "model" && usage != task.end() && usage->is_object()) {
    row.prompt_tokens += usage->value("prompt_tokens", uint64_t{0});
    row.cached_tokens += usage->value("cached_tokens", uint64_t{0});
  }
  const auto time = task.find("time_ms");
  if (time != task.end() && time->is_object() && time->contains("total") && (*time)["total"].is_number()) {
    total_ms = std::max(total_ms, (*time)["total"].get<double>());
  }
}

}  // namespace

Result<ShownRow> read_shown_row(std::string_view line) try {
  const Json row = Json::parse(line);
  const auto results = row.is_object() ? row.find("results") : row.end();
  const bool has_results = row.is_object() && results != row.end() && results->is_object();
  if (!row.is_object() || (!has_results && !row.contains("error"))) {
    return fail(ErrorCode::kInvalid,
                "expected an object with \"results\" or \"error\", as tandem run writes it");
  }
  ShownRow shown;
  shown.text = input_text(row);
  if (!has_results) {
    shown.failed = true;
    shown.reply = error_text(row["error"]);
    return shown;
  }
  double total_ms = 0;
  shown.cached = !results->empty();
  for (const auto& [name, task] : results->items()) {
    if (task.is_object()) add_task(shown, task, total_ms);
  }
  shown.time = total_ms < 10 ? fmt::format("{:.1f} ms", total_ms) : fmt::format("{:.0f} ms", total_ms);
  return shown;
} catch (const nlohmann::json::exception&) {
  return fail(ErrorCode::kInvalid, "expected a JSON object, found something else");
}

}  // namespace tandem::cli
