// Output: what came of a row, as JSON text.

#include <cmath>
#include <nlohmann/json.hpp>

#include "client/cli/row.h"

namespace tandem::cli {
namespace {

using Json = nlohmann::ordered_json;

double rounded(double number, double unit) {
  return std::round(number * unit) / unit;
}

Json error_json(const Error& error) {
  return {{"code", to_string(error.code)}, {"message", error.text}};
}

double ms(uint64_t us) {
  return rounded(static_cast<double>(us) / 1000, 1000);
}

Json task_json(const TaskResult& task, const RowStyle& style) {
  Json out = Json::object();
  if (task.error) {
    out["error"] = error_json(*task.error);
    return out;
  }
  if (task.label) {
    out["label"] = task.label->label;
    out["display"] = task.label->display;
    out["probability"] = rounded(task.label->probability, 1e6);
    out["margin"] = rounded(task.label->margin, 1e6);
    if (!task.label->reason.empty()) out["reason"] = task.label->reason;
    if (style.details) {
      for (const LabelScore& score : task.label->scores)
        out["scores"][score.id] = rounded(score.probability, 1e6);
    }
  }
  if (task.text) {
    out["text"] = task.text->text;
    out["finish_reason"] = task.text->finish_reason;
  }
  out["source"] = to_string(task.source);
  if (task.source == AnswerSource::kSemantic) out["similarity"] = rounded(task.similarity, 1e6);
  if (task.cut) out["cut"] = true;
  if (task.pieces > 0) out["pieces"] = task.pieces;
  out["usage"] = {{"prompt_tokens", task.usage.prompt_tokens},
                  {"cached_tokens", task.usage.cached_tokens},
                  {"computed_tokens", task.usage.computed_tokens},
                  {"completion_tokens", task.usage.completion_tokens}};
  out["time_ms"] = {{"queue", ms(task.timings.queue_us)},
                    {"prefill", ms(task.timings.prefill_us)},
                    {"decode", ms(task.timings.decode_us)},
                    {"total", ms(task.timings.total_us)}};
  if (style.details) {
    out["task_version"] = task.task_version;
    out["task_fingerprint"] = task.task_fingerprint;
    out["model_fingerprint"] = task.model_fingerprint;
    out["batch_size"] = task.batch_size;
    out["worker"] = task.worker;
  }
  return out;
}

// One error for the row when nothing came of it; else each task for itself.
Json outcome_json(const Result<JobResult>& result, size_t line, const RowStyle& style, RowOutcome& outcome) {
  Json out = Json::object();
  const Error* error = result ? nullptr : &result.error();
  size_t n_failed = 0;
  if (result) {
    outcome.cached = !result->tasks.empty();
    for (const TaskResult& task : result->tasks) {
      n_failed += task.error ? 1 : 0;
      outcome.cached &= !task.error && task.source != AnswerSource::kModel;
      outcome.n_tokens += task.usage.computed_tokens;
    }
    if (n_failed == result->tasks.size() && n_failed > 0) error = &*result->tasks.front().error;
  }
  outcome.failed = error != nullptr || n_failed > 0;
  if (error != nullptr) {
    out["error"] = error_json(*error);
    if (line > 0) out["error"]["line"] = line;
    return out;
  }
  Json& results = out["results"] = Json::object();
  for (const TaskResult& task : result->tasks) results[task.task] = task_json(task, style);
  return out;
}

// Texts from outside may hold anything in an error; what is no UTF-8 is replaced.
std::string to_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

RowOutcome render_row(const InputRow& row, const Result<JobResult>& result, const RowStyle& style) {
  RowOutcome outcome;
  const std::string added = to_text(outcome_json(result, row.line, style, outcome));
  // Two objects joined: "{a" + "," + "b}".
  outcome.text = row.fields;
  outcome.text.back() = ',';
  outcome.text += std::string_view(added).substr(1);
  return outcome;
}

std::string results_json(const Result<JobResult>& result, const RowStyle& style) {
  RowOutcome ignored;
  return to_text(outcome_json(result, 0, style, ignored));
}

}  // namespace tandem::cli
