// Finished answers by exact key, in one LMDB environment shared by all workers of the host.

#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "shared/base/clock.h"
#include "shared/base/hash.h"
#include "shared/base/result.h"
#include "shared/protocol/job.h"
#include "worker/tasks/prompt.h"
#include "worker/tasks/task.h"

namespace tandem {

// Everything that changes the answer, and nothing else: model and tokenizer fingerprint, task fingerprint,
// the prompt's tokens, the decoding settings in force, the namespace.
struct AnswerKeyParts {
  std::string model_fingerprint;
  std::string tokenizer_fingerprint;
  const Task* task = nullptr;
  const engine::Tokens* prompt = nullptr;
  const DecodeSettings* decode = nullptr;
  std::string cache_namespace;
};
Hash128 answer_key(const AnswerKeyParts& parts);

// Only good answers are worth keeping: by the model itself, no error, not cut off by a limit ("length"), no
// repetition, no refusal, not unparsed. An empty answer is one; so is an abstention.
bool worth_caching(const TaskResult& result);

struct AnswerCacheOptions {
  std::filesystem::path folder;
  uint64_t bytes_max = 256ull << 20;  // keys, values and bookkeeping; the least recently used go first
  uint64_t answer_bytes_max = 64u << 10;
  uint64_t map_bytes = 0;  // upper limit of the file; 0: ample for bytes_max. For tests of a full map.
};

// `entries` and `bytes` are of the folder, as last written by any process; the rest is this object's.
struct AnswerCacheStats {
  uint64_t entries = 0, bytes = 0, hits = 0, misses = 0, stores = 0, evictions = 0, expired = 0;
};

// Belongs to the frontend thread; any number of processes may have the same folder open. A damaged entry is a
// miss and is removed. No failure here ever fails a job: errors are for logging.
// An answer as it is kept.
struct KeptAnswer {
  Hash128 key;
  int64_t created_ms = 0;
  int64_t expires_ms = 0;  // 0: never
  std::string cache_namespace;
  TaskResult result;   // its source is kModel
  uint64_t bytes = 0;  // of the file, about
};

class AnswerCache {
 public:
  // kIo, kCorrupt with the folder's name.
  static Result<std::unique_ptr<AnswerCache>> open(const AnswerCacheOptions& options, const Clock& clock);
  virtual ~AnswerCache() = default;

  // The answer, if it is there and not older than its TTL (absolute: a hit does not renew it). Its source is
  // kExact, its usage says that all of the prompt was cached and nothing computed; its timings are empty:
  // the caller's.
  virtual Result<std::optional<TaskResult>> find(const Hash128& key) = 0;
  // Remembers the answer until flush(); find() sees it at once. An answer that is not worth_caching() or has
  // more than answer_bytes_max is passed over. `ttl` 0: for ever. The namespace is for those who look after
  // it; find() knows it from the key.
  virtual Result<void> store(const Hash128& key, const TaskResult& result, std::chrono::seconds ttl,
                             std::string_view cache_namespace = {}) = 0;
  // Hands what is pending to a thread that writes it; over bytes_max the least recently used go. Called
  // between jobs; done by itself when much is pending, and at the end. The error is of an earlier flush,
  // whose answers are gone.
  virtual Result<void> flush() = 0;
  // The same, and waits until it is written: other processes find it now.
  virtual Result<void> settle() = 0;
  virtual Result<void> clear() = 0;

  // For those who look after it, beside workers that use it. What is damaged or expired is passed over.
  //
  // Calls `visit` for each answer that is written, in no order, until it says false.
  virtual Result<void> for_each(const std::function<bool(const KeptAnswer&)>& visit) = 0;
  // As it is, with its times; false when it is not worth_caching(), too large, or expired. Until settle().
  virtual bool keep(const KeptAnswer& answer) = 0;
  // Until settle().
  virtual void remove(const Hash128& key) = 0;
  virtual AnswerCacheStats stats() const = 0;
  // What open() did that a person may want to read in the log, such as emptying a folder of another format;
  // "" usually.
  virtual const std::string& note() const = 0;
};

}  // namespace tandem
