#include "worker/scheduler/capacity.h"

#include <gmock/gmock.h>

namespace tandem {
namespace {

using ::testing::HasSubstr;

// Qwen1.5-0.5B: 24 layers, 16 heads of 64: 6 MiB a block of 32 tokens.
const engine::KvShape kShape{.n_layers = 24, .n_kv_heads = 16, .d_head = 64};
constexpr uint64_t kBlockBytes = 6u << 20;

TEST(CapacityTest, DerivesEveryBoundFromTheOneBefore) {
  const auto capacity = derive_capacity(
      {.kv_bytes = 128 * kBlockBytes + 1, .sequences_max = 64, .batch_tokens_max = 512}, kShape, 32768);
  ASSERT_TRUE(capacity) << capacity.error().text;
  EXPECT_EQ(capacity->n_blocks, 128u);
  EXPECT_EQ(capacity->kv_bytes, 128 * kBlockBytes);
  EXPECT_EQ(capacity->sequence_tokens_max, 4096u);
  EXPECT_EQ(capacity->sequences_max, 16u);
  EXPECT_EQ(capacity->credits, 32u);
  EXPECT_EQ(capacity->interactive_extra, 8u);
  EXPECT_EQ(capacity->cost_max, 8192u) << "twice the tokens that fit, as the credits are twice what runs";
  EXPECT_EQ(capacity->sequences_waiting_max, 40u * 16 * kPartsAtOnceMax);
  EXPECT_EQ(capacity->parts_max, 40u * 64);
  for (const char* const fact : {"blocks=128", "credits=32", "interactive_extra=8", "cost_max=8192"}) {
    EXPECT_THAT(capacity->describe(), HasSubstr(fact));
  }
}

TEST(CapacityTest, StaysBelowTheModelsPositionsAndTheGivenLimits) {
  const auto capacity = derive_capacity(
      {.kv_bytes = 1024 * kBlockBytes, .sequences_max = 5, .batch_tokens_max = 512}, kShape, 2048);
  ASSERT_TRUE(capacity);
  EXPECT_EQ(capacity->sequence_tokens_max, 2048u);
  EXPECT_EQ(capacity->sequences_max, 5u);
}

TEST(CapacityTest, NeverRunsMoreSequencesThanAStepHasTokens) {
  const auto capacity = derive_capacity(
      {.kv_bytes = 1024 * kBlockBytes, .sequences_max = 100, .batch_tokens_max = 4}, kShape, 2048);
  ASSERT_TRUE(capacity);
  EXPECT_EQ(capacity->sequences_max, 4u);
}

// However small a worker is, a person does not wait for its bulk to end.
TEST(CapacityTest, AlwaysHasRoomForOneWhoWaits) {
  const auto capacity = derive_capacity(
      {.kv_bytes = 8 * kBlockBytes, .sequences_max = 1, .batch_tokens_max = 512}, kShape, 2048);
  ASSERT_TRUE(capacity);
  EXPECT_EQ(capacity->credits, 2u);
  EXPECT_EQ(capacity->interactive_extra, 1u);
  EXPECT_EQ(capacity->sequences_waiting_max, 3u * 16 * kPartsAtOnceMax);
}

TEST(CapacityTest, SaysHowManyBytesOneSequenceNeeds) {
  const CapacityOptions enough{.kv_bytes = 8 * kBlockBytes, .sequences_max = 64, .batch_tokens_max = 512};
  EXPECT_TRUE(derive_capacity(enough, kShape, 32768));

  const CapacityOptions less{.kv_bytes = 8 * kBlockBytes - 1, .sequences_max = 64, .batch_tokens_max = 512};
  const auto capacity = derive_capacity(less, kShape, 32768);
  ASSERT_FALSE(capacity);
  EXPECT_EQ(capacity.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(capacity.error().text, HasSubstr("at least 50331648"));
  EXPECT_THAT(capacity.error().text, HasSubstr("found 50331647"));
}

}  // namespace
}  // namespace tandem
