// The tier behind the KV cache: a store of the host, read where it is needed and written by a thread of its
// own.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "shared/base/inbox.h"
#include "shared/base/log.h"
#include "shared/base/result.h"
#include "shared/metrics/metric_page.h"
#include "worker/cache/kv_store.h"
#include "worker/engine/kv/kv_cache.h"
#include "worker/scheduler/prefix_tier.h"

namespace tandem {

// The identity of keys and values that such a model computes on this machine, and kept in this shape.
KvIdentity kv_identity(const std::string& model_fingerprint, const engine::KvShape& shape);

struct KvTierOptions {
  KvStoreOptions store;
  uint64_t queue_bytes_max = 64u << 20;  // blocks that wait to be written; more are turned away
  uint64_t batch_bytes = 16u << 20;      // of one transaction, about
};

// Counts are since the start, of this process.
struct KvTierFigures {
  uint64_t loaded = 0, stored = 0, evicted = 0;  // blocks
  uint64_t damaged = 0;                          // removed
  uint64_t turned_away = 0;                      // no room in the queue: the writer was behind
  uint64_t failed = 0;                           // blocks that could not be written
  KvTotals totals;                               // of the folder
};
void add_metrics(MetricPage& page, const KvTierFigures& figures);

// load(), offer() and used() belong to the inference thread; figures() is for any. Nothing here fails a job:
// an error costs time and is logged.
class KvTier : public PrefixTier {
 public:
  static Result<std::unique_ptr<KvTier>> open(const KvTierOptions& options);
  ~KvTier() override;  // writes what waits

  std::optional<Block> load(std::span<const engine::TokenId> text, size_t n_before, size_t n_known) override;
  bool offer(std::span<const engine::TokenId> text, std::span<const std::byte> content) override;
  void used(std::span<const engine::TokenId> text) override;

  KvTierFigures figures() const;
  const std::string& note() const { return store_.note(); }

 private:
  struct Offered {
    engine::Tokens text;
    std::string record;  // not sealed
  };
  struct Used {
    engine::Tokens text;  // full blocks
  };
  struct Damaged {
    std::string key;
  };
  using Note = std::variant<Offered, Used, Damaged>;
  class Writer;

  KvTier(const KvTierOptions& options, KvStore store);

  KvTierOptions options_;
  KvStore store_;
  std::vector<std::byte> content_;  // of the block loaded last
  bool said_ = false;               // that loading fails
  Inbox<Note> inbox_;
  std::atomic<uint64_t> queue_bytes_{0}, n_used_waiting_{0};
  std::atomic<uint64_t> n_loaded_{0}, n_stored_{0}, n_evicted_{0}, n_damaged_{0}, n_turned_away_{0},
      n_failed_{0};
  Log log_{"worker.kv"};
  std::thread writer_;
};

}  // namespace tandem
