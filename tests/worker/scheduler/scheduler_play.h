// A scheduler with a real KV cache and no model: does what the inference loop does with a plan, and fails
// where a block that was promised is not there.

#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/engine/kv/kv_writer.h"
#include "worker/scheduler/scheduler.h"

namespace tandem::testing {

class SchedulerPlay {
 public:
  explicit SchedulerPlay(const SchedulerLimits& limits)
      : kv_(std::move(*engine::KvCache::create({1, 1, 1}, limits.n_blocks))), scheduler_(limits) {}

  // Tokens that no other sequence has.
  static engine::Tokens own_tokens(SequenceId id, size_t n_tokens) {
    engine::Tokens tokens(n_tokens);
    for (size_t i = 0; i < n_tokens; ++i) tokens[i] = static_cast<engine::TokenId>(id * 10'000 + i);
    return tokens;
  }

  Result<void> add(SequenceId id, engine::Tokens prompt, size_t decode_max, std::vector<size_t> paths,
                   Urgency urgency) {
    Live live;
    live.tokens = std::move(prompt);
    live.n_prompt = live.tokens.size();
    live.forks.resize(paths.size());
    auto added = scheduler_.add({.id = id,
                                 .prompt = live.tokens,
                                 .decode_max = decode_max,
                                 .paths = std::move(paths),
                                 .urgency = urgency});
    if (added) live_.emplace(id, std::move(live));  // moved, its tokens stay where they are
    return added;
  }

  void hurry(SequenceId id) { scheduler_.hurry(id); }
  bool remove(SequenceId id) {
    live_.erase(id);
    return scheduler_.remove(id);
  }

  // Admits, plans, and writes what the plan says into the cache.
  std::vector<Piece> step() {
    while (const auto id = scheduler_.admit(kv_)) {
      Live& live = live_.at(*id);
      live.kv = kv_.begin_with(live.tokens);
      live.n_known = live.kv.n_tokens();
      live.begun = true;
      check();
    }
    std::vector<Piece> pieces = scheduler_.next_step();
    for (const Piece& piece : pieces) apply(piece);
    for (const Piece& piece : pieces) {
      Live& live = live_.at(piece.id);
      kv_.publish(live.kv, std::span(live.tokens).first(live.kv.n_tokens()));
      if (piece.kind == Piece::Kind::kPath && piece.last) live.forks[piece.path] = {};
    }
    check();
    return pieces;
  }

  std::vector<SequenceId> running() const {
    std::vector<SequenceId> ids;
    for (const auto& [id, live] : live_) {
      if (live.begun) ids.push_back(id);
    }
    return ids;
  }
  size_t n_known(SequenceId id) const { return live_.at(id).n_known; }  // when it was admitted
  const Scheduler& scheduler() const { return scheduler_; }
  const engine::KvCache& kv() const { return kv_; }

 private:
  struct Live {
    engine::Tokens tokens;
    size_t n_prompt = 0, n_known = 0;
    bool begun = false;
    engine::KvSequence kv;
    std::vector<engine::KvSequence> forks;
  };

  void check() const { EXPECT_LE(scheduler_.n_blocks_promised(), kv_.n_blocks_free()); }

  void apply(const Piece& piece) {
    Live& live = live_.at(piece.id);
    engine::KvSequence* kv = &live.kv;
    switch (piece.kind) {
      case Piece::Kind::kPrompt:
        ASSERT_EQ(piece.begin, live.kv.n_tokens());
        break;
      case Piece::Kind::kDecode:  // the token drawn before it
        live.tokens.push_back(static_cast<engine::TokenId>(live.tokens.size()));
        break;
      case Piece::Kind::kPath:
        kv = &live.forks[piece.path];
        if (piece.begin > 0) break;
        auto fork = kv_.fork(live.kv, live.n_prompt);
        ASSERT_TRUE(fork) << fork.error().text;
        *kv = std::move(*fork);
        break;
    }
    const auto reserved = kv_.reserve(*kv, piece.n_tokens);
    ASSERT_TRUE(reserved) << reserved.error().text;
    KvWriter::pretend(*kv, piece.n_tokens);
  }

  engine::KvCache kv_;
  Scheduler scheduler_;
  std::map<SequenceId, Live> live_;
};

}  // namespace tandem::testing
