// The scheduler under random load. A failure names its seed.

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <utility>

#include "tests/worker/scheduler/scheduler_play.h"
#include "worker/scheduler/scheduler.h"

namespace tandem {
namespace {

using testing::SchedulerPlay;

// Whatever arrives and ends in whatever order, with whatever it shares: no step is over its budget, no block
// is promised twice, every decode moves in every step, nobody interactive waits behind bulk, and everything
// that was taken ends in time. SchedulerPlay holds the real KV cache to the promises.
TEST(SchedulerProperty, KeepsItsPromisesUnderRandomLoad) {
  const uint32_t seed_first = 20240601;
  for (uint32_t seed = seed_first; seed < seed_first + 80; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto draw = [&](size_t low, size_t high) { return low + random() % (high - low + 1); };

    SchedulerLimits limits;
    limits.n_blocks = draw(4, 80);
    limits.batch_tokens_max = draw(1, 200);
    limits.sequences_max = draw(1, std::min<size_t>(limits.batch_tokens_max, 40));
    limits.positions_max = draw(50, 3000);
    SchedulerPlay play(limits);

    struct Seen {
      size_t n_prompt = 0, decode_max = 0, n_end = 0, n_done = 0, n_drawn = 0;
      std::vector<size_t> paths, paths_done;
      Urgency urgency{};
      size_t n_left_out = 0;
      bool begun = false;
      bool is_over() const {
        return decode_max > 0 ? n_drawn >= n_end && n_drawn > 0 : n_done == n_prompt && paths_done == paths;
      }
      bool waits_for_room() const {
        return begun && (n_done < n_prompt || (n_drawn == 0 && paths_done != paths));
      }
    };
    std::map<SequenceId, Seen> open;
    SequenceId id_next = 1;
    size_t n_steps = 0, n_tokens_asked = 0;
    const size_t n_kinds = draw(1, 4);  // of beginnings

    while (id_next <= 80 || !open.empty()) {
      // Even one at a time, everything is through after as many steps as there are tokens.
      ASSERT_LT(n_steps++, 1000 + 2 * n_tokens_asked) << "something never ends";
      for (size_t n = id_next <= 80 ? draw(0, 4) : 0; n > 0; --n) {
        Seen seen;
        const SequenceId id = id_next++;
        engine::Tokens prompt = SchedulerPlay::own_tokens(1000 + draw(1, n_kinds), draw(0, 120));
        const engine::Tokens own = SchedulerPlay::own_tokens(id, draw(1, draw(0, 9) == 0 ? 1500 : 60));
        if (draw(0, 9) > 0 || prompt.empty()) prompt.insert(prompt.end(), own.begin(), own.end());
        seen.n_prompt = prompt.size();
        seen.urgency = draw(0, 3) == 0 ? Urgency::kInteractive : Urgency::kBulk;
        if (draw(0, 1) == 0) {
          seen.decode_max = draw(1, 40);
          seen.n_end = draw(1, seen.decode_max);  // the end token may come early
        } else {
          for (size_t path = draw(0, 3); path > 0; --path) seen.paths.push_back(draw(1, 4));
          seen.paths_done.resize(seen.paths.size());
        }
        n_tokens_asked += seen.n_prompt + seen.decode_max + 12;
        if (play.add(id, std::move(prompt), seen.decode_max, seen.paths, seen.urgency)) open[id] = seen;
      }
      if (!open.empty() && draw(0, 19) == 0) {  // a cancel
        const auto victim = std::next(open.begin(), static_cast<ptrdiff_t>(draw(0, open.size() - 1)));
        EXPECT_TRUE(play.remove(victim->first));
        open.erase(victim);
      }

      if (!open.empty() && draw(0, 9) == 0) {  // somebody begins to wait for it
        const auto one = std::next(open.begin(), static_cast<ptrdiff_t>(draw(0, open.size() - 1)));
        play.hurry(one->first);
        one->second.urgency = Urgency::kInteractive;
      }

      const std::vector<Piece> step = play.step();
      if (::testing::Test::HasFatalFailure()) return;
      ASSERT_EQ(open.empty(), step.empty()) << "there is work and nothing is done";
      EXPECT_LE(play.scheduler().n_running(), limits.sequences_max);
      for (const SequenceId id : play.running()) {
        Seen& seen = open.at(id);
        if (!std::exchange(seen.begun, true)) seen.n_done = play.n_known(id);
      }

      size_t n_tokens = 0;
      std::set<SequenceId> decoded, must_decode, bulk, moved;
      for (const auto& [id, seen] : open) {
        if (seen.decode_max > 0 && seen.n_drawn > 0) must_decode.insert(id);
      }
      for (const Piece& piece : step) {
        n_tokens += piece.n_tokens;
        ASSERT_TRUE(open.count(piece.id)) << "a sequence that is over";
        Seen& seen = open[piece.id];
        if (piece.kind != Piece::Kind::kDecode) {
          moved.insert(piece.id);
          if (seen.urgency == Urgency::kBulk && seen.n_left_out < Scheduler::kPatience) bulk.insert(piece.id);
        }
        switch (piece.kind) {
          case Piece::Kind::kDecode:
            EXPECT_TRUE(decoded.insert(piece.id).second);
            EXPECT_EQ(seen.n_done, seen.n_prompt);
            ++seen.n_drawn;
            break;
          case Piece::Kind::kPath:
            EXPECT_EQ(seen.n_done, seen.n_prompt);
            EXPECT_EQ(piece.begin, seen.paths_done[piece.path]);
            seen.paths_done[piece.path] += piece.n_tokens;
            EXPECT_EQ(piece.last, seen.paths_done[piece.path] == seen.paths[piece.path]);
            break;
          case Piece::Kind::kPrompt:
            EXPECT_EQ(piece.begin, seen.n_done);
            seen.n_done += piece.n_tokens;
            EXPECT_EQ(piece.last, seen.n_done == seen.n_prompt);
            if (piece.last && seen.decode_max > 0) seen.n_drawn = 1;
            break;
        }
      }
      EXPECT_LE(n_tokens, limits.batch_tokens_max);
      EXPECT_EQ(decoded, must_decode);
      for (auto& [id, seen] : open) {
        const bool left_out = seen.waits_for_room() && !moved.contains(id);
        if (left_out && seen.urgency == Urgency::kInteractive) {
          EXPECT_TRUE(bulk.empty()) << "interactive " << id << " waits behind bulk " << *bulk.begin();
        }
        seen.n_left_out = left_out ? seen.n_left_out + 1 : 0;
      }

      std::erase_if(open, [&](const auto& one) { return one.second.is_over() && play.remove(one.first); });
    }
    EXPECT_EQ(play.scheduler().n_blocks_promised(), 0u);
    EXPECT_EQ(play.kv().n_blocks_free(), limits.n_blocks);
  }
}

}  // namespace
}  // namespace tandem
