// What a job asks and what came of it: the payloads that clients and workers read and the broker does not.
// README.md beside this file has the bytes.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "shared/base/ids.h"
#include "shared/base/result.h"

namespace tandem {

// One turn of a conversation before the text. `role` is "system", "user" or "assistant".
struct ChatTurn {
  std::string role;
  std::string text;
  bool operator==(const ChatTurn&) const = default;
};

// Settings of a request that replace those of the task file. Unset: as the task has it.
struct DecodeOverrides {
  std::optional<uint32_t> tokens_max;
  std::optional<double> temperature;
  std::optional<uint32_t> top_k;
  std::optional<double> top_p;
  std::optional<double> repetition_penalty;
  std::optional<uint32_t> no_repeat_ngram;
  std::optional<uint64_t> seed;
  std::optional<std::vector<std::string>> stop;
  bool operator==(const DecodeOverrides&) const = default;
};

// The weakest source of an answer that the caller accepts.
enum class AcceptSource : uint8_t { kAny = 0, kExact = 1, kModel = 2 };

// The payload of a Submit item. Limits: shared/base/limits.h; decode_job_request() enforces them and that
// all texts are UTF-8. An empty text is valid on the wire; the worker answers it with an error of its own.
struct JobRequest {
  std::string text;
  std::vector<ChatTurn> history;                 // oldest first; used by tasks that take a history
  std::vector<std::string> tasks;                // at least one; done and published in this order
  std::map<std::string, std::string> variables;  // for the templates of the tasks
  DecodeOverrides decode;                        // for every task whose answer is text
  AcceptSource accept = AcceptSource::kAny;
  bool store = true;            // false: the answer does not go into a cache
  bool stream = false;          // token deltas of text answers are published
  std::string cache_namespace;  // answers are shared within one namespace only
  bool operator==(const JobRequest&) const = default;
};

enum class AnswerSource : uint8_t { kModel = 0, kExact = 1, kSemantic = 2 };
std::string_view to_string(AnswerSource source);

struct LabelScore {
  std::string id;
  double probability = 0;
  bool operator==(const LabelScore&) const = default;
};

// A closed answer: one of the task's labels, or "" when the task abstained or the generated text was not
// understood (`reason` says "abstained" or "unparsed").
struct LabelAnswer {
  std::string label;
  std::string display;
  double probability = 0;  // of `label`, among the labels; 0..1
  double margin = 0;       // to the second best; 0..1
  std::vector<LabelScore> scores;
  std::string reason;
  bool operator==(const LabelAnswer&) const = default;
};

// An open answer. `finish_reason`: "stop" (end token or stop string), "length", "repetition".
struct TextAnswer {
  std::string text;
  std::string finish_reason;
  bool operator==(const TextAnswer&) const = default;
};

struct Usage {
  uint32_t prompt_tokens = 0;
  uint32_t cached_tokens = 0;    // of the prompt, not computed because a prefix was there
  uint32_t computed_tokens = 0;  // through the model for this task: prompt and completion
  uint32_t completion_tokens = 0;
  bool operator==(const Usage&) const = default;
};

// Microseconds, on the worker.
struct Timings {
  uint64_t queue_us = 0;  // arrival at the worker until the model began on it
  uint64_t prefill_us = 0;
  uint64_t decode_us = 0;
  uint64_t total_us = 0;  // arrival at the worker until the answer was ready
  bool operator==(const Timings&) const = default;
};

// What one task of one job came to: exactly one of `label`, `text` and `error` is set.
struct TaskResult {
  std::string task;
  std::optional<LabelAnswer> label;
  std::optional<TextAnswer> text;
  std::optional<Error> error;
  AnswerSource source = AnswerSource::kModel;
  double similarity = 0;  // of a semantic hit
  bool cut = false;       // the text was too long: the answer is for what the task's cut left of it
  uint32_t pieces = 0;  // of a text that was too long for one prompt and done in pieces; 0: it was done whole
  Usage usage;          // of all pieces together
  Timings timings;
  uint32_t task_version = 0;
  std::string task_fingerprint;   // hash of the task's content, hex
  std::string model_fingerprint;  // hash of the model and its compute type, hex
  uint32_t batch_size = 0;        // sequences in the step that finished it
  std::string worker;
  bool operator==(const TaskResult&) const = default;
};

// The payload of a Result item: the job's one outcome, a result for each task in the order asked for.
struct JobResult {
  std::vector<TaskResult> tasks;
  bool operator==(const JobResult&) const = default;
};

// The payload of a Partial item: a piece of the answer before the job is finished. Best effort: parts may
// be lost, the JobResult has everything.
struct JobPart {
  uint32_t task_index = 0;
  std::string delta;                 // the next piece of a text answer, whole characters
  std::optional<TaskResult> result;  // or: this task is finished
  bool operator==(const JobPart&) const = default;
};

std::string encode(const JobRequest& request);
std::string encode(const JobResult& result);
std::string encode(const JobPart& part);

// kInvalid names the field, what was expected and what was found; kTooLong names the limit.
Result<JobRequest> decode_job_request(std::string_view bytes);
Result<JobResult> decode_job_result(std::string_view bytes);
Result<JobPart> decode_job_part(std::string_view bytes);

}  // namespace tandem
