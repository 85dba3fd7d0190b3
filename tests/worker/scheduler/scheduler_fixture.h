// Sequences by their numbers, and steps in words.

#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/worker/scheduler/scheduler_play.h"

namespace tandem::testing {

class SchedulerFixture : public ::testing::Test {
 protected:
  void make(SchedulerLimits limits) { play_.emplace(limits); }

  // Prompts of different sequences have nothing in common, unless tokens are given.
  Result<void> decode(SequenceId id, size_t n_prompt, size_t decode_max, Urgency urgency = Urgency::kBulk) {
    return play_->add(id, SchedulerPlay::own_tokens(id, n_prompt), decode_max, {}, urgency);
  }
  Result<void> score(SequenceId id, size_t n_prompt, std::vector<size_t> paths = {},
                     Urgency urgency = Urgency::kBulk) {
    return play_->add(id, SchedulerPlay::own_tokens(id, n_prompt), 0, std::move(paths), urgency);
  }
  // `n_begin` tokens that are the same for all, and then `n_own`.
  Result<void> score_alike(SequenceId id, size_t n_begin, size_t n_own, Urgency urgency = Urgency::kBulk) {
    engine::Tokens tokens = SchedulerPlay::own_tokens(0, n_begin);
    const engine::Tokens own = SchedulerPlay::own_tokens(id, n_own);
    tokens.insert(tokens.end(), own.begin(), own.end());
    return play_->add(id, std::move(tokens), 0, {}, urgency);
  }
  bool remove(SequenceId id) { return play_->remove(id); }

  // "1: prompt 0+100", "2: decode", "3: path 0 0+2 last"
  std::vector<std::string> step() {
    std::vector<std::string> said;
    for (const Piece& piece : play_->step()) {
      std::string text = std::to_string(piece.id) + ": ";
      if (piece.kind == Piece::Kind::kDecode) {
        said.push_back(text + "decode");
        continue;
      }
      text += piece.kind == Piece::Kind::kPath ? "path " + std::to_string(piece.path) + " " : "prompt ";
      text += std::to_string(piece.begin) + "+" + std::to_string(piece.n_tokens);
      said.push_back(text + (piece.last ? " last" : ""));
    }
    return said;
  }
  const Scheduler& scheduler() const { return play_->scheduler(); }

  std::optional<SchedulerPlay> play_ =
      SchedulerPlay({.n_blocks = 64, .sequences_max = 8, .batch_tokens_max = 100, .positions_max = 2000});
};

}  // namespace tandem::testing
