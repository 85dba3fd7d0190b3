// The inference loop with the tiny model; the test is the frontend, and time is given.

#pragma once

#include <gmock/gmock.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/worker/support/tiny_model.h"
#include "worker/scheduler/inference_loop.h"

namespace tandem::testing {

class InferenceLoopFixture : public ::testing::Test {
 protected:
  InferenceLoopFixture() {
    make({.n_blocks = 256, .sequences_max = 16, .batch_tokens_max = 512, .positions_max = 4096});
  }

  void make(SchedulerLimits limits) {
    loop_.emplace(*tiny_.model, tiny_.tokenizer, tiny_.make_kv(limits.n_blocks), limits, clock_, inbox_,
                  [this](FromInference news) {
                    if (auto* began = std::get_if<SequencesBegan>(&news)) {
                      for (const SequenceId id : began->ids) began_.push_back(id);
                    } else if (auto* delta = std::get_if<SequenceDelta>(&news)) {
                      deltas_.push_back(*delta);
                    } else {
                      done_.push_back(std::get<SequenceDone>(news));
                    }
                  });
  }

  void decode(SequenceId id, const engine::Tokens& prompt, DecodeWork work) {
    inbox_.push(SequenceRequest{id, prompt, std::move(work), clock_.now(), Urgency::kBulk});
  }
  void score(SequenceId id, const engine::Tokens& prompt, ScoreWork work) {
    inbox_.push(SequenceRequest{id, prompt, std::move(work), clock_.now(), Urgency::kBulk});
  }
  void run_until_idle() {
    while (loop_->step()) clock_.advance(std::chrono::milliseconds(1));
  }
  const SequenceDone& done(SequenceId id) {
    for (const SequenceDone& one : done_) {
      if (one.id == id) return one;
    }
    ADD_FAILURE() << "sequence " << id << " did not finish";
    static const SequenceDone kNone;
    return kNone;
  }
  std::string text_of(const engine::Tokens& tokens) { return tiny_.tokenizer.decode(tokens); }

  static DecodeWork greedy(uint32_t tokens_max) {
    DecodeWork work;
    work.tokens_max = tokens_max;
    return work;
  }

  TinyModel& tiny_ = TinyModel::get();
  ManualClock clock_;
  Inbox<ToInference> inbox_;
  std::optional<InferenceLoop> loop_;
  std::vector<SequenceId> began_;
  std::vector<SequenceDelta> deltas_;
  std::vector<SequenceDone> done_;
};

}  // namespace tandem::testing
