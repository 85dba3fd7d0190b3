// The payloads of jobs, from bytes of anybody.

#include "shared/protocol/job.h"

#include "shared/base/limits.h"
#include "shared/protocol/reader.h"

namespace tandem {
namespace {

constexpr size_t kEntriesMax = 64;  // of a map with known keys: ours and those of a newer sender
constexpr double kRealMax = 1e9;

uint32_t number32(Reader& in) {
  return static_cast<uint32_t>(in.number(UINT32_MAX));
}

std::string name(Reader& in) {
  return std::string(in.text(1, limits::kNameBytesMax));
}

std::string words(Reader& in) {
  return std::string(in.text(0, limits::kNameBytesMax));
}

double fraction(Reader& in) {
  return in.real(0, 1);
}

void read(Reader& in, DecodeOverrides& decode) {
  read_map(in, kEntriesMax, [&](std::string_view key) {
    if (key == "tokens_max")
      decode.tokens_max = number32(in);
    else if (key == "temperature")
      decode.temperature = in.real(0, kRealMax);
    else if (key == "top_k")
      decode.top_k = number32(in);
    else if (key == "top_p")
      decode.top_p = fraction(in);
    else if (key == "repetition_penalty")
      decode.repetition_penalty = in.real(0, kRealMax);
    else if (key == "no_repeat_ngram")
      decode.no_repeat_ngram = number32(in);
    else if (key == "seed")
      decode.seed = in.number();
    else if (key == "stop") {
      decode.stop.emplace();
      read_array(in, limits::kStopStringsMax,
                 [&](size_t) { decode.stop->emplace_back(in.text(1, limits::kStopBytesMax)); });
    } else
      return false;
    return true;
  });
}

void read(Reader& in, ChatTurn& turn) {
  const size_t n_elements = in.array(kEntriesMax);
  if (in.ok() && n_elements < 2)
    in.fail(ErrorCode::kInvalid, "expected a turn, [role, text], found fewer elements");
  turn.role = words(in);
  if (in.ok() && turn.role != "system" && turn.role != "user" && turn.role != "assistant") {
    in.fail(ErrorCode::kInvalid, "expected the role system, user or assistant, found '" + turn.role + "'");
  }
  turn.text = in.text(0, limits::kTextBytesMax);
  for (size_t i = 2; i < n_elements && in.ok(); ++i) in.skip();
}

void read_variables(Reader& in, std::map<std::string, std::string>& variables) {
  read_map(in, limits::kVariablesMax, [&](std::string_view key) {
    if (key.empty() || key.size() > limits::kNameBytesMax) {
      in.fail(ErrorCode::kTooLong, "expected a variable's name of 1 to " +
                                       std::to_string(limits::kNameBytesMax) + " bytes, found " +
                                       std::to_string(key.size()));
    }
    variables[std::string(key)] = in.text(0, limits::kVariableBytesMax);
    return true;
  });
}

void read(Reader& in, LabelAnswer& answer) {
  read_map(in, kEntriesMax, [&](std::string_view key) {
    if (key == "label")
      answer.label = words(in);
    else if (key == "display")
      answer.display = in.text(0, limits::kTagBytesMax);
    else if (key == "probability")
      answer.probability = fraction(in);
    else if (key == "margin")
      answer.margin = fraction(in);
    else if (key == "reason")
      answer.reason = words(in);
    else if (key == "scores") {
      read_array(in, limits::kLabelsPerTaskMax, [&](size_t) {
        LabelScore& score = answer.scores.emplace_back();
        const size_t n_elements = in.array(kEntriesMax);
        if (in.ok() && n_elements < 2)
          in.fail(ErrorCode::kInvalid, "expected a score, [label, probability], found fewer elements");
        score.id = words(in);
        score.probability = fraction(in);
        for (size_t i = 2; i < n_elements && in.ok(); ++i) in.skip();
      });
    } else
      return false;
    return true;
  });
}

void read(Reader& in, TextAnswer& answer) {
  read_map(in, kEntriesMax, [&](std::string_view key) {
    if (key == "text")
      answer.text = in.text(0, limits::kPayloadBytesMax);
    else if (key == "finish_reason")
      answer.finish_reason = words(in);
    else
      return false;
    return true;
  });
}

void read(Reader& in, Usage& usage) {
  read_map(in, kEntriesMax, [&](std::string_view key) {
    if (key == "prompt_tokens")
      usage.prompt_tokens = number32(in);
    else if (key == "cached_tokens")
      usage.cached_tokens = number32(in);
    else if (key == "computed_tokens")
      usage.computed_tokens = number32(in);
    else if (key == "completion_tokens")
      usage.completion_tokens = number32(in);
    else
      return false;
    return true;
  });
}

void read(Reader& in, Timings& timings) {
  read_map(in, kEntriesMax, [&](std::string_view key) {
    if (key == "queue_us")
      timings.queue_us = in.number();
    else if (key == "prefill_us")
      timings.prefill_us = in.number();
    else if (key == "decode_us")
      timings.decode_us = in.number();
    else if (key == "total_us")
      timings.total_us = in.number();
    else
      return false;
    return true;
  });
}

void read(Reader& in, TaskResult& result) {
  read_map(in, kEntriesMax, [&](std::string_view key) {
    if (key == "task")
      result.task = name(in);
    else if (key == "label")
      read(in, result.label.emplace());
    else if (key == "text")
      read(in, result.text.emplace());
    else if (key == "error")
      result.error = in.error();
    else if (key == "source")
      result.source = static_cast<AnswerSource>(in.number(2));
    else if (key == "similarity")
      result.similarity = in.real(-1, 1);
    else if (key == "cut")
      result.cut = in.boolean();
    else if (key == "pieces")
      result.pieces = number32(in);
    else if (key == "usage")
      read(in, result.usage);
    else if (key == "timings")
      read(in, result.timings);
    else if (key == "task_version")
      result.task_version = number32(in);
    else if (key == "task_fingerprint")
      result.task_fingerprint = words(in);
    else if (key == "model_fingerprint")
      result.model_fingerprint = words(in);
    else if (key == "batch_size")
      result.batch_size = number32(in);
    else if (key == "worker")
      result.worker = words(in);
    else
      return false;
    return true;
  });
  if (in.ok() && result.task.empty()) in.fail(ErrorCode::kInvalid, "expected a task, found none");
  const int n_outcomes = result.label.has_value() + result.text.has_value() + result.error.has_value();
  if (in.ok() && n_outcomes != 1) {
    in.fail(ErrorCode::kInvalid,
            "expected one of label, text and error, found " + std::to_string(n_outcomes));
  }
}

// What a whole payload begins and ends with.
Result<void> check_size(std::string_view bytes, const char* what) {
  if (bytes.size() <= limits::kPayloadBytesMax) return {};
  return fail(ErrorCode::kTooLong, std::string(what) + ": expected at most " +
                                       std::to_string(limits::kPayloadBytesMax) + " bytes, found " +
                                       std::to_string(bytes.size()));
}

Result<void> finish(Reader& in) {
  in.end();
  if (!in.ok()) return fail(in.failure());
  return {};
}

}  // namespace

Result<JobRequest> decode_job_request(std::string_view bytes) {
  TANDEM_TRY(check_size(bytes, "request"));
  Reader in(bytes, "request");
  JobRequest request;
  bool has_text = false;
  read_map(in, kEntriesMax, [&](std::string_view key) {
    if (key == "text") {
      request.text = in.text(0, limits::kTextBytesMax);
      has_text = true;
    } else if (key == "tasks") {
      read_array(in, limits::kTasksPerJobMax, [&](size_t) { request.tasks.push_back(name(in)); });
    } else if (key == "history") {
      read_array(in, limits::kHistoryTurnsMax, [&](size_t) { read(in, request.history.emplace_back()); });
    } else if (key == "variables")
      read_variables(in, request.variables);
    else if (key == "decode")
      read(in, request.decode);
    else if (key == "accept")
      request.accept = static_cast<AcceptSource>(in.number(2));
    else if (key == "store")
      request.store = in.boolean();
    else if (key == "stream")
      request.stream = in.boolean();
    else if (key == "namespace")
      request.cache_namespace = words(in);
    else
      return false;
    return true;
  });
  if (in.ok() && !has_text) in.fail(ErrorCode::kInvalid, "expected a text, found none");
  if (in.ok() && request.tasks.empty())
    in.fail(ErrorCode::kInvalid, "expected at least one task, found none");
  TANDEM_TRY(finish(in));
  return request;
}

Result<JobResult> decode_job_result(std::string_view bytes) {
  TANDEM_TRY(check_size(bytes, "result"));
  Reader in(bytes, "result");
  JobResult result;
  read_map(in, kEntriesMax, [&](std::string_view key) {
    if (key != "tasks") return false;
    read_array(in, limits::kTasksPerJobMax, [&](size_t) { read(in, result.tasks.emplace_back()); });
    return true;
  });
  TANDEM_TRY(finish(in));
  return result;
}

Result<JobPart> decode_job_part(std::string_view bytes) {
  TANDEM_TRY(check_size(bytes, "part"));
  Reader in(bytes, "part");
  JobPart part;
  read_map(in, kEntriesMax, [&](std::string_view key) {
    if (key == "task_index")
      part.task_index = static_cast<uint32_t>(in.number(limits::kTasksPerJobMax - 1));
    else if (key == "delta")
      part.delta = in.text(0, limits::kPayloadBytesMax);
    else if (key == "result")
      read(in, part.result.emplace());
    else
      return false;
    return true;
  });
  TANDEM_TRY(finish(in));
  return part;
}

}  // namespace tandem
