// The promise behind exact caches and retries: a job's logits are the same bytes whatever else runs, however
// its prompt comes, and on every CPU with fused multiply-add.

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>

#include "shared/base/hash.h"
#include "tests/engine/support/golden.h"
#include "tests/engine/support/job_runner.h"
#include "tests/engine/support/packed.h"
#include "tests/engine/support/simds.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "worker/engine/model/random_model.h"

namespace tandem::engine {
namespace {

using testing::Batching;
using testing::DecodingJob;
using testing::JobLogits;
using testing::kComputeTypes;
using testing::must;
using testing::run_jobs;
using testing::same_bits;

constexpr size_t kJobs = 64;
constexpr KvType kKvTypes[] = {KvType::kF32, KvType::kF16};

// Golden ones by their name, random ones as "random-<shape>".
constexpr const char* kModels[] = {"qwen2-gqa", "qwen3-hd128", "random-qwen2-tiny", "random-qwen3-tiny"};

std::unique_ptr<Model> load(const std::string& name, ComputeType compute, size_t n_threads) {
  const ModelOptions options{.n_threads = n_threads, .compute = compute};
  if (!name.starts_with("random-")) return must(Model::load(testing::kGoldenModels + name, options));
  const testing::TempDir folder;
  must(write_random_model(name.substr(7), 5, folder / "model").map([] { return true; }));
  return must(Model::load(folder / "model", options));
}

// Another one in each run, so that over time many are tried; a failure tells it, and TANDEM_SEED repeats it.
uint32_t seed() {
  static const uint32_t chosen = [] {
    const char* const given = std::getenv("TANDEM_SEED");
    return given != nullptr ? static_cast<uint32_t>(std::strtoul(given, nullptr, 10))
                            : std::random_device()();
  }();
  return chosen;
}

std::string text_of(ComputeType compute, KvType kv) {
  return std::string(name_of(compute)) + (kv == KvType::kF16 ? "_kv16" : "");
}

using Case = std::tuple<const char*, ComputeType, KvType>;

class SameBytesTest : public ::testing::TestWithParam<Case> {
 protected:
  SameBytesTest() {
    for (const size_t n_threads : {1, 2}) {
      models_[n_threads] = load(std::get<0>(GetParam()), std::get<1>(GetParam()), n_threads);
    }
    jobs_ = testing::random_jobs(seed(), kJobs, models_[1]->config().n_vocab);
    static std::map<Case, JobLogits> computed;  // for the tests of one process
    alone_ = &computed[GetParam()];
    if (alone_->empty()) *alone_ = run(1, {.name = "alone"});
  }

  JobLogits run(size_t n_threads, const Batching& batching) {
    return run_jobs(*models_[n_threads], std::get<2>(GetParam()), jobs_, batching);
  }

  // Each job alone, its whole prompt at once, is what all else is compared with.
  void expect_the_same(size_t n_threads, const Batching& batching) {
    SCOPED_TRACE(batching.name + ", " + std::to_string(n_threads) +
                 " threads, TANDEM_SEED=" + std::to_string(seed()));
    const JobLogits found = run(n_threads, batching);
    for (size_t i = 0; i < kJobs; ++i) {
      ASSERT_EQ(alone(i).size(), models_[1]->config().n_vocab * (1 + jobs_[i].n_decoded));
      ASSERT_TRUE(same_bits(found[i], alone(i))) << "job " << i << " of " << jobs_[i].prompt.size()
                                                 << " tokens, " << jobs_[i].n_decoded << " decoded";
    }
  }
  std::span<const float> alone(size_t job) const { return (*alone_)[job]; }

  std::map<size_t, std::unique_ptr<Model>> models_;
  std::vector<DecodingJob> jobs_;
  JobLogits* alone_ = nullptr;
};

// Jobs that are done make room for others, so decoding and prompts meet in nearly every batch.
TEST_P(SameBytesTest, InBatchesOfAnySizeAndOrder) {
  expect_the_same(2, {.name = "alone, two threads", .n_jobs_max = 1});
  for (const uint32_t n : {2, 7, 16, 64}) {
    for (const size_t n_threads : {1, 2}) {
      expect_the_same(n_threads, {.name = "batches of " + std::to_string(n), .n_jobs_max = n, .seed = n - 2});
    }
  }
}

TEST_P(SameBytesTest, WithPromptsInPieces) {
  expect_the_same(2, {.name = "token by token", .n_jobs_max = 16, .n_piece_max = 1, .seed = 1});
  expect_the_same(1, {.name = "pieces, alone", .n_jobs_max = 1, .n_piece_max = 50});
  expect_the_same(2, {.name = "pieces", .n_jobs_max = 7, .n_piece_max = 40, .seed = 2});
  expect_the_same(1, {.name = "large pieces", .n_jobs_max = 64, .n_piece_max = 100, .seed = 3});
}

TEST_P(SameBytesTest, WithBeginningsThatAreShared) {
  expect_the_same(1, {.name = "shared, alone", .n_jobs_max = 1, .share_prefix = true});
  expect_the_same(2, {.name = "shared", .n_jobs_max = 16, .seed = 4, .share_prefix = true});
  expect_the_same(
      2, {.name = "shared, pieces", .n_jobs_max = 64, .n_piece_max = 33, .seed = 5, .share_prefix = true});
  expect_the_same(1, {.name = "cached", .n_jobs_max = 2, .seed = 10, .from_cache = true});
  expect_the_same(
      2, {.name = "cached, pieces", .n_jobs_max = 16, .n_piece_max = 50, .seed = 11, .from_cache = true});
}

TEST_P(SameBytesTest, WithMoreLogitsAskedForOrHiddenStates) {
  expect_the_same(1, {.name = "all logits", .n_jobs_max = 7, .seed = 6, .all_logits = true});
  expect_the_same(2, {.name = "hidden", .n_jobs_max = 7, .n_piece_max = 60, .seed = 7, .with_hidden = true});
}

// A label asks for a few logits only: they are those of the whole vocabulary.
TEST_P(SameBytesTest, WithTheWantedTokensOnly) {
  for (DecodingJob& job : jobs_) job.n_decoded = 0;
  for (const size_t n_jobs_max : {1, 7, 64}) {
    SCOPED_TRACE(std::to_string(n_jobs_max) + " at once, TANDEM_SEED=" + std::to_string(seed()));
    const JobLogits found =
        run(2, {.name = "wanted", .n_jobs_max = n_jobs_max, .seed = 8, .only_wanted = true});
    for (size_t i = 0; i < kJobs; ++i) {
      std::vector<float> expected;
      for (const TokenId token : jobs_[i].wanted) expected.push_back(alone(i)[static_cast<size_t>(token)]);
      ASSERT_TRUE(same_bits(found[i], expected)) << "job " << i;
    }
  }
  // The continuation of an answer from a few labels, beside others that want everything.
  for (DecodingJob& job : jobs_) job.n_decoded = 2;
  const JobLogits apart = run(1, {.name = "wanted", .n_jobs_max = 1, .only_wanted = true});
  const JobLogits together = run(2, {.name = "wanted", .n_jobs_max = 16, .seed = 9, .only_wanted = true});
  for (size_t i = 0; i < kJobs; ++i) ASSERT_TRUE(same_bits(together[i], apart[i])) << "job " << i;
}

INSTANTIATE_TEST_SUITE_P(Models, SameBytesTest,
                         ::testing::Combine(::testing::ValuesIn(kModels), ::testing::ValuesIn(kComputeTypes),
                                            ::testing::ValuesIn(kKvTypes)),
                         [](const auto& one) {
                           std::string name = std::string(std::get<0>(one.param)) + "_" +
                                              text_of(std::get<1>(one.param), std::get<2>(one.param));
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// ---- other CPUs

// One line for each model and way of computing, of a few jobs in batches.
std::string digests() {
  std::string lines;
  for (const char* const name : kModels) {
    for (const ComputeType compute : kComputeTypes) {
      const auto model = load(name, compute, 2);
      const auto jobs = testing::random_jobs(17, 12, model->config().n_vocab);
      for (const KvType kv : kKvTypes) {
        HashBuilder hash;
        for (const auto& logits : run_jobs(*model, kv, jobs, {.name = "digest", .n_jobs_max = 5})) {
          hash.add_bytes(logits.data(), logits.size() * sizeof(float));
        }
        lines +=
            std::string("digest ") + name + " " + text_of(compute, kv) + " " + hash.finish().to_hex() + "\n";
      }
    }
  }
  return lines;
}

// What the next test starts with other instructions; by itself it tests nothing.
TEST(SameBytesOnOtherCpusTest, DISABLED_TellsItsDigests) {
  std::printf("%ssimd %s\n", digests().c_str(), simd().name.c_str());
}

TEST(SameBytesOnOtherCpusTest, WithAllInstructionsThatFuseMultiplyAndAdd) {
  const std::string expected = digests();
  size_t n_others = 0;
  for (const Simd& other : all_simd()) {
    if (!testing::fuses(other) || other.name == simd().name) continue;
    const testing::RunResult run =
        testing::run_process({testing::bin_dir() / "engine_tests", "--gtest_also_run_disabled_tests",
                              "--gtest_filter=SameBytesOnOtherCpusTest.DISABLED_TellsItsDigests"},
                             {.input = "", .environment = {{"TANDEM_SIMD", other.name}}, .output_dir = ""});
    ASSERT_EQ(run.status, 0) << run.err;
    ASSERT_NE(run.out.find("simd " + other.name + "\n"), std::string::npos) << run.out;
    EXPECT_NE(run.out.find(expected), std::string::npos)
        << "with " << other.name << ":\n"
        << run.out << "expected, as with " << simd().name << ":\n"
        << expected;
    ++n_others;
  }
  if (n_others == 0) GTEST_SKIP() << "this CPU has no second set of instructions that fuse";
}

}  // namespace
}  // namespace tandem::engine
