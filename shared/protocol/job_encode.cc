// The payloads of jobs as bytes.

#include "shared/protocol/job.h"

#include "shared/protocol/writer.h"

namespace tandem {
namespace {

// A map whose size is known only at its end: entries with a default value are left out.
class MapWriter {
 public:
  Writer& entry(std::string_view key) {
    ++n_entries_;
    body_.text(key);
    return body_;
  }
  std::string take() {
    Writer whole;
    whole.map(n_entries_);
    whole.raw(body_.written());
    return whole.take();
  }

 private:
  size_t n_entries_ = 0;
  Writer body_;
};

std::string encode(const DecodeOverrides& decode) {
  MapWriter map;
  if (decode.tokens_max) map.entry("tokens_max").number(*decode.tokens_max);
  if (decode.temperature) map.entry("temperature").real(*decode.temperature);
  if (decode.top_k) map.entry("top_k").number(*decode.top_k);
  if (decode.top_p) map.entry("top_p").real(*decode.top_p);
  if (decode.repetition_penalty) map.entry("repetition_penalty").real(*decode.repetition_penalty);
  if (decode.no_repeat_ngram) map.entry("no_repeat_ngram").number(*decode.no_repeat_ngram);
  if (decode.seed) map.entry("seed").number(*decode.seed);
  if (decode.stop) {
    Writer& out = map.entry("stop");
    out.array(decode.stop->size());
    for (const std::string& text : *decode.stop) out.text(text);
  }
  return map.take();
}

std::string encode(const LabelAnswer& answer) {
  MapWriter map;
  map.entry("label").text(answer.label);
  map.entry("display").text(answer.display);
  map.entry("probability").real(answer.probability);
  map.entry("margin").real(answer.margin);
  Writer& scores = map.entry("scores");
  scores.array(answer.scores.size());
  for (const LabelScore& score : answer.scores) {
    scores.array(2);
    scores.text(score.id);
    scores.real(score.probability);
  }
  if (!answer.reason.empty()) map.entry("reason").text(answer.reason);
  return map.take();
}

std::string encode(const TextAnswer& answer) {
  MapWriter map;
  map.entry("text").text(answer.text);
  map.entry("finish_reason").text(answer.finish_reason);
  return map.take();
}

std::string encode(const Usage& usage) {
  MapWriter map;
  map.entry("prompt_tokens").number(usage.prompt_tokens);
  map.entry("cached_tokens").number(usage.cached_tokens);
  map.entry("computed_tokens").number(usage.computed_tokens);
  map.entry("completion_tokens").number(usage.completion_tokens);
  return map.take();
}

std::string encode(const Timings& timings) {
  MapWriter map;
  map.entry("queue_us").number(timings.queue_us);
  map.entry("prefill_us").number(timings.prefill_us);
  map.entry("decode_us").number(timings.decode_us);
  map.entry("total_us").number(timings.total_us);
  return map.take();
}

std::string encode(const TaskResult& result) {
  MapWriter map;
  map.entry("task").text(result.task);
  if (result.label) map.entry("label").raw(encode(*result.label));
  if (result.text) map.entry("text").raw(encode(*result.text));
  if (result.error) map.entry("error").error(*result.error);
  map.entry("source").number(static_cast<uint64_t>(result.source));
  if (result.similarity != 0) map.entry("similarity").real(result.similarity);
  if (result.cut) map.entry("cut").boolean(true);
  if (result.pieces != 0) map.entry("pieces").number(result.pieces);
  map.entry("usage").raw(encode(result.usage));
  map.entry("timings").raw(encode(result.timings));
  map.entry("task_version").number(result.task_version);
  map.entry("task_fingerprint").text(result.task_fingerprint);
  map.entry("model_fingerprint").text(result.model_fingerprint);
  map.entry("batch_size").number(result.batch_size);
  map.entry("worker").text(result.worker);
  return map.take();
}

}  // namespace

std::string_view to_string(AnswerSource source) {
  switch (source) {
    case AnswerSource::kModel:
      return "model";
    case AnswerSource::kExact:
      return "exact";
    case AnswerSource::kSemantic:
      return "semantic";
  }
  return "unknown";
}

std::string encode(const JobRequest& request) {
  MapWriter map;
  map.entry("text").text(request.text);
  Writer& tasks = map.entry("tasks");
  tasks.array(request.tasks.size());
  for (const std::string& task : request.tasks) tasks.text(task);
  if (!request.history.empty()) {
    Writer& history = map.entry("history");
    history.array(request.history.size());
    for (const ChatTurn& turn : request.history) {
      history.array(2);
      history.text(turn.role);
      history.text(turn.text);
    }
  }
  if (!request.variables.empty()) {
    Writer& variables = map.entry("variables");
    variables.map(request.variables.size());
    for (const auto& [key, value] : request.variables) {
      variables.text(key);
      variables.text(value);
    }
  }
  if (request.decode != DecodeOverrides{}) map.entry("decode").raw(encode(request.decode));
  if (request.accept != AcceptSource::kAny) map.entry("accept").number(static_cast<uint64_t>(request.accept));
  if (!request.store) map.entry("store").boolean(false);
  if (request.stream) map.entry("stream").boolean(true);
  if (!request.cache_namespace.empty()) map.entry("namespace").text(request.cache_namespace);
  return map.take();
}

std::string encode(const JobResult& result) {
  MapWriter map;
  Writer& tasks = map.entry("tasks");
  tasks.array(result.tasks.size());
  for (const TaskResult& task : result.tasks) tasks.raw(encode(task));
  return map.take();
}

std::string encode(const JobPart& part) {
  MapWriter map;
  map.entry("task_index").number(part.task_index);
  if (!part.delta.empty()) map.entry("delta").text(part.delta);
  if (part.result) map.entry("result").raw(encode(*part.result));
  return map.take();
}

}  // namespace tandem
