// An answer as flat bytes, which are read in a fraction of a microsecond: what a record's payload is.
//
//   1  what it is: 'l' a label, 't' a text
//   4  prompt_tokens, cached_tokens, computed_tokens, completion_tokens, task_version, pieces: 4 bytes each
//      task, task_fingerprint, model_fingerprint, worker: each a string
//      't': text, finish_reason: strings
//      'l': label, display, reason: strings; probability, margin; the number of scores, 4 bytes; for each its
//           label, a string, and probability
//
// A string is its number of bytes, 4 bytes, and these; a real is the 8 bytes of a double; all little-endian.
// What is not here is of the job that asks: source, similarity, whether its text was cut, timings,
// batch size.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "shared/protocol/job.h"

namespace tandem {

// Of a result with a label or a text.
std::string encode_answer(const TaskResult& result);
// Nothing when these are not exactly such bytes. Texts are not looked into: the record's checksum says that
// they are what was written.
std::optional<TaskResult> decode_answer(std::string_view bytes);

}  // namespace tandem
