// Writes answers on a thread of its own, so that looking one up never waits for a disk.

#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/hash.h"
#include "shared/base/result.h"
#include "worker/cache/answer_store.h"

namespace tandem {

struct AnswerKeyHash {
  size_t operator()(const Hash128& key) const noexcept { return key.low64(); }  // it is a hash
};

// Changes by key, the last of each; what is found here is not in the store yet, or is about to be.
using AnswerChanges = std::unordered_map<Hash128, AnswerChange, AnswerKeyHash>;

// All but its thread is for one thread, which is told of errors late.
class AnswerWriter {
 public:
  // Both outlive it.
  AnswerWriter(AnswerStore& store, const Clock& clock);
  ~AnswerWriter();  // when everything is written

  // To be written, together with what else waits. Waits itself when that is too much.
  void write(AnswerChanges changes);
  // Null when nothing of this key waits.
  const AnswerChange* find(const Hash128& key);
  // Waits until nothing waits.
  void settle();
  // Of a batch that was not written, once.
  Result<void> take_error();

 private:
  void run();
  void forget_written();

  struct Batch {
    AnswerChanges changes;
    size_t n_bytes = 0;
    int64_t now_ms = 0;  // when it came; the clock is the caller's
  };

  AnswerStore& store_;
  const Clock& clock_;
  std::deque<std::shared_ptr<const Batch>> unwritten_;  // oldest first; the caller's
  size_t unwritten_bytes_ = 0;
  uint64_t n_forgotten_ = 0;             // batches that were in it, and are written
  std::atomic<uint64_t> n_written_ = 0;  // batches, whatever came of them

  std::mutex mutex_;  // of what follows
  std::condition_variable news_;
  std::deque<std::shared_ptr<const Batch>> queue_;
  Result<void> outcome_;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace tandem
