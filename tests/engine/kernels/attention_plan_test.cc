#include "worker/engine/kernels/attention_plan.h"

#include <gtest/gtest.h>

#include <numeric>

namespace tandem::engine {
namespace {

using Blocks = std::vector<uint32_t>;

// A token that decodes at `position`, in row `row`.
AttentionPiece one_token(const Blocks& blocks, size_t position, size_t row) {
  return {blocks, position, row, 1, row};
}

struct Told {
  std::vector<size_t> rows;  // first rows of the group's pieces
  size_t n_shared = 0;
  bool operator==(const Told&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Told& told) {
  for (const size_t row : told.rows) out << row << " ";
  return out << "share " << told.n_shared;
}

std::vector<Told> plan(const std::vector<AttentionPiece>& pieces, size_t n_rows_max) {
  AttentionPlan plan;
  plan.make(pieces, n_rows_max);
  std::vector<Told> told;
  for (const AttentionPlan::Group& group : plan.groups()) {
    Told one{{}, group.n_shared};
    size_t n_rows = 0;
    for (const AttentionPiece& piece : plan.pieces(group)) {
      one.rows.push_back(piece.first_row);
      n_rows += piece.n_rows;
    }
    EXPECT_EQ(n_rows, group.n_rows);
    told.push_back(one);
  }
  return told;
}

TEST(AttentionPlanTest, LeavesStrangersAlone) {
  const Blocks a = {0, 1}, b = {2, 3};
  EXPECT_EQ(plan({one_token(a, 40, 0), one_token(b, 50, 1)}, 32), (std::vector<Told>{{{0}, 0}, {{1}, 0}}));
  EXPECT_TRUE(plan({}, 32).empty());
}

TEST(AttentionPlanTest, TakesThoseTogetherThatBeginAlikeWhereverTheyStandInTheBatch) {
  const Blocks a = {5, 6, 1}, stranger = {7, 8, 9}, b = {5, 6, 2}, c = {5, 6, 3};
  EXPECT_EQ(
      plan({one_token(a, 70, 0), one_token(stranger, 70, 1), one_token(b, 71, 2), one_token(c, 64, 3)}, 32),
      (std::vector<Told>{{{0, 2, 3}, 2}, {{1}, 0}}));
}

// Block 4 is the template, 5 and 6 are texts.
TEST(AttentionPlanTest, ACommonTemplateDoesNotPullTextsApart) {
  const Blocks a = {4, 5, 1}, b = {4, 6, 2}, c = {4, 5, 3}, d = {4, 6, 7};
  EXPECT_EQ(plan({one_token(a, 70, 0), one_token(b, 70, 1), one_token(c, 70, 2), one_token(d, 70, 3)}, 32),
            (std::vector<Told>{{{0, 2}, 2}, {{1, 3}, 2}}));
}

TEST(AttentionPlanTest, AStrangerWithTheSameTemplateDoesNotJoinThoseWhoShareAText) {
  const Blocks stranger = {4, 5, 1}, a = {4, 6, 8, 1}, b = {4, 6, 8, 2}, c = {4, 6, 8, 3};
  EXPECT_EQ(
      plan({one_token(stranger, 64, 0), one_token(a, 96, 1), one_token(b, 96, 2), one_token(c, 96, 3)}, 32),
      (std::vector<Told>{{{0}, 0}, {{1, 2, 3}, 3}}));
  const Blocks behind = {4, 7, 9};
  EXPECT_EQ(plan({one_token(a, 96, 0), one_token(b, 96, 1), one_token(behind, 64, 2)}, 32),
            (std::vector<Told>{{{0, 1}, 3}, {{2}, 0}}));
}

TEST(AttentionPlanTest, SharesOnlyBlocksThatAreFullBeforeTheRows) {
  const Blocks a = {5, 6, 1}, b = {5, 6, 2};
  EXPECT_EQ(plan({one_token(a, 63, 0), one_token(b, 64, 1)}, 32), (std::vector<Told>{{{0, 1}, 1}}));
  EXPECT_EQ(plan({one_token(a, 31, 0), one_token(b, 64, 1)}, 32), (std::vector<Told>{{{0}, 0}, {{1}, 0}}));
}

TEST(AttentionPlanTest, AGroupIsNoLargerThanATile) {
  const Blocks a = {5, 1}, b = {5, 2}, c = {5, 3};
  EXPECT_EQ(plan({one_token(a, 40, 0), one_token(b, 40, 1), one_token(c, 40, 2)}, 2),
            (std::vector<Told>{{{0, 1}, 1}, {{2}, 0}}));
}

// A piece of 70 rows in tiles of 32; its first and its last tile see the same blocks.
TEST(AttentionPlanTest, CutsALongPiece) {
  Blocks blocks(4);
  std::iota(blocks.begin(), blocks.end(), 0u);
  AttentionPlan plan;
  plan.make(std::vector<AttentionPiece>{{blocks, 10, 3, 70, 1}}, 32);
  size_t n_rows = 0;
  for (const AttentionPlan::Group& group : plan.groups()) {
    ASSERT_LE(group.n_rows, 32u);
    for (const AttentionPiece& piece : plan.pieces(group)) {
      EXPECT_EQ(piece.first_position, 10 + n_rows);
      EXPECT_EQ(piece.first_row, 3 + n_rows);
      EXPECT_EQ(piece.first_out, 1 + n_rows);
      n_rows += piece.n_rows;
    }
  }
  EXPECT_EQ(n_rows, 70u);
}

}  // namespace
}  // namespace tandem::engine
