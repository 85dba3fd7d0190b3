// How many bytes wait in ZeroMQ's queues to peers, which it counts in messages only. Inside shared/net only.

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

namespace tandem {

// A peer that asks and does not read costs no more than this. Frames of up to 1 KiB are not counted: a queue
// of a thousand messages has 3 MiB of them at most. Above its bound a message is dropped as if the queue were
// full.
inline constexpr size_t kPeerBytesMax = 64u << 20;     // of one peer of a RouterSocket, or one message
inline constexpr size_t kRouterBytesMax = 256u << 20;  // of all of them
// Of a PublisherSocket. Partials are best effort; outcomes that were missed are fetched.
inline constexpr size_t kPartialsBytesMax = 256u << 20;
inline constexpr size_t kPublishedBytesMax = 512u << 20;

// What may be held when another message is sent; one to a peer that holds nothing is within `peer`.
struct HeldBytesMax {
  size_t all = SIZE_MAX;
  size_t peer = SIZE_MAX;
};

// A count that ZeroMQ's thread takes from when it lets a frame go, after its socket has gone, too.
struct HeldBytes {
  std::atomic<size_t> n_bytes = 0;
  std::shared_ptr<HeldBytes> all;  // what a peer's are part of; null for a socket's

  void add(size_t n) {
    n_bytes.fetch_add(n, std::memory_order_relaxed);
    if (all != nullptr) all->add(n);
  }
  void take(size_t n) {
    n_bytes.fetch_sub(n, std::memory_order_relaxed);
    if (all != nullptr) all->take(n);
  }
  size_t count() const { return n_bytes.load(std::memory_order_relaxed); }
};

// Of one socket, on its thread.
class HeldByPeer {
 public:
  const std::shared_ptr<HeldBytes>& all() const { return all_; }
  const std::shared_ptr<HeldBytes>& of(const std::string& peer) {
    if (peers_.size() >= sweep_at_) {
      std::erase_if(peers_, [](const auto& one) { return one.second.use_count() == 1; });
      sweep_at_ = 2 * peers_.size() + kSweepAtLeast;
    }
    std::shared_ptr<HeldBytes>& held = peers_[peer];
    if (held == nullptr) {
      held = std::make_shared<HeldBytes>();
      held->all = all_;
    }
    return held;
  }
  size_t count_of(const std::string& peer) const {
    const auto found = peers_.find(peer);
    return found == peers_.end() ? 0 : found->second->count();
  }

 private:
  static constexpr size_t kSweepAtLeast = 64;

  std::shared_ptr<HeldBytes> all_ = std::make_shared<HeldBytes>();
  std::unordered_map<std::string, std::shared_ptr<HeldBytes>> peers_;  // swept of those that hold nothing
  size_t sweep_at_ = kSweepAtLeast;
};

}  // namespace tandem
