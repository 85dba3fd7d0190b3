// Every promise of the queue, in hundreds of small worlds. One of them again:
//   TANDEM_SEED=17 sim_tests
// Others, or more: TANDEM_SEED_FROM=1000 TANDEM_SEEDS=10000 sim_tests. tests/nightly.sh does this.

#include "tests/sim/simulation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

namespace tandem::broker::sim {
namespace {

using ::testing::IsEmpty;

constexpr uint64_t kParts = 10;  // test cases, so that they run beside each other

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* given = std::getenv(name);
  return given == nullptr ? otherwise : std::strtoull(given, nullptr, 10);
}

class SimulationTest : public ::testing::TestWithParam<uint64_t> {
 protected:
  static void expect_every_promise_kept(uint64_t seed) {
    const std::vector<std::string> wrongs = Simulation(draw_config(seed)).run();
    std::string text;
    for (const std::string& wrong : wrongs) text += "\n  " + wrong;
    EXPECT_TRUE(wrongs.empty()) << "TANDEM_SEED=" << seed << text;
  }
};

// The first 270 are the same for everybody, the others nobody has tried before.
TEST_P(SimulationTest, EveryAcceptedJobEndsOnceAndInItsOrderWhateverFails) {
  if (std::getenv("TANDEM_SEED") != nullptr) {
    if (GetParam() == 0) expect_every_promise_kept(from_environment("TANDEM_SEED", 1));
    return;
  }
  const uint64_t n_seeds = from_environment("TANDEM_SEEDS", 300);
  const uint64_t from = from_environment("TANDEM_SEED_FROM", 1);
  const bool is_given = std::getenv("TANDEM_SEEDS") != nullptr;
  for (uint64_t i = GetParam(); i < n_seeds && !HasFailure(); i += kParts) {
    const bool is_new = !is_given && i >= 270;
    expect_every_promise_kept(is_new ? std::random_device()() : from + i);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SimulationTest, ::testing::Range<uint64_t>(0, kParts));

}  // namespace
}  // namespace tandem::broker::sim
