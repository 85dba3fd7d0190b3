#include "worker/cache/answer_writer.h"

#include <algorithm>
#include <utility>

namespace tandem {
namespace {

// What waits for the disk is held in memory, and looked through by find().
constexpr size_t kUnwrittenBytesMax = 8u << 20;
constexpr size_t kUnwrittenBatchesMax = 64;

}  // namespace

AnswerWriter::AnswerWriter(AnswerStore& store, const Clock& clock)
    : store_(store), clock_(clock), thread_([this] { run(); }) {}

AnswerWriter::~AnswerWriter() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  news_.notify_all();
  thread_.join();
}

void AnswerWriter::write(AnswerChanges changes) {
  auto batch = std::make_shared<Batch>();
  batch->now_ms = clock_.wall_ms();
  for (const auto& [key, change] : changes) batch->n_bytes += sizeof change + change.record.size();
  batch->changes = std::move(changes);
  forget_written();
  if (unwritten_.size() >= kUnwrittenBatchesMax || unwritten_bytes_ + batch->n_bytes > kUnwrittenBytesMax)
    settle();
  unwritten_bytes_ += batch->n_bytes;
  unwritten_.push_back(batch);
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(batch));
  }
  news_.notify_all();
}

const AnswerChange* AnswerWriter::find(const Hash128& key) {
  if (unwritten_.empty()) return nullptr;
  forget_written();
  for (auto batch = unwritten_.rbegin(); batch != unwritten_.rend(); ++batch) {
    const auto found = (*batch)->changes.find(key);
    if (found != (*batch)->changes.end()) return &found->second;
  }
  return nullptr;
}

void AnswerWriter::forget_written() {
  for (; n_forgotten_ < n_written_.load(std::memory_order_acquire); ++n_forgotten_) {
    unwritten_bytes_ -= unwritten_.front()->n_bytes;
    unwritten_.pop_front();
  }
}

void AnswerWriter::settle() {
  {
    std::unique_lock lock(mutex_);
    news_.wait(
        lock, [&] { return n_written_.load(std::memory_order_relaxed) == n_forgotten_ + unwritten_.size(); });
  }
  forget_written();
}

Result<void> AnswerWriter::take_error() {
  const std::lock_guard lock(mutex_);
  return std::exchange(outcome_, {});
}

void AnswerWriter::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    news_.wait(lock, [&] { return ends_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const auto batches = std::exchange(queue_, {});
    lock.unlock();

    // All that waits together: a commit costs a sync of the disk.
    std::vector<const AnswerChange*> changes;
    for (const auto& batch : batches) {
      for (const auto& [key, change] : batch->changes) changes.push_back(&change);
    }
    std::sort(changes.begin(), changes.end(),
              [](const AnswerChange* a, const AnswerChange* b) { return a->stamp < b->stamp; });
    auto outcome = store_.apply(changes, batches.back()->now_ms);

    lock.lock();
    if (!outcome) outcome_ = std::move(outcome);
    n_written_.fetch_add(batches.size(), std::memory_order_release);
    news_.notify_all();
  }
}

}  // namespace tandem
