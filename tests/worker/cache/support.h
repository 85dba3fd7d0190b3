// What the tests of the cache share: answers and keys of no importance.

#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/temp_dir.h"
#include "worker/cache/answer_cache.h"

namespace tandem::testing {

inline TaskResult text_answer(const std::string& text) {
  TaskResult result;
  result.task = "reply";
  result.text = TextAnswer{text, "stop"};
  result.usage = {.prompt_tokens = 20, .cached_tokens = 5, .computed_tokens = 18, .completion_tokens = 3};
  result.timings = {.queue_us = 1, .prefill_us = 2, .decode_us = 3, .total_us = 6};
  result.task_version = 4;
  result.pieces = 3;
  result.task_fingerprint = "f";
  result.model_fingerprint = "m";
  result.batch_size = 7;
  result.worker = "ann";
  return result;
}

inline Hash128 key_of(const std::string& name) {
  return hash128(name);
}

}  // namespace tandem::testing
