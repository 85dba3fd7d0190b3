#include "worker/frontend/label_mean.h"

#include <gtest/gtest.h>

namespace tandem {
namespace {

Task moods(double margin_min = 0) {
  Task task;
  task.answer = AnswerKind::kLabel;
  task.labels = {{"good", "Good", "up", {}}, {"bad", "Bad", "down", {}}};
  task.margin_min = margin_min;
  return task;
}
WeightedLabel piece(double good, double weight) {
  LabelAnswer answer;
  answer.label = good >= 0.5 ? "good" : "bad";
  answer.scores = {{"good", good}, {"bad", 1 - good}};
  return {answer, weight};
}

TEST(LabelMean, WeighsPiecesByTheirLength) {
  const std::vector<WeightedLabel> pieces = {piece(1.0, 300), piece(0.0, 100)};
  const LabelAnswer mean = label_mean(moods(), pieces);
  EXPECT_EQ(mean.label, "good");
  EXPECT_EQ(mean.display, "up");
  EXPECT_DOUBLE_EQ(mean.probability, 0.75);
  EXPECT_DOUBLE_EQ(mean.margin, 0.5);
  ASSERT_EQ(mean.scores.size(), 2u);
  EXPECT_DOUBLE_EQ(mean.scores[1].probability, 0.25);
}

// Three that lean one way are less than one that knows.
TEST(LabelMean, ListensToThoseThatAreSure) {
  const std::vector<WeightedLabel> pieces = {piece(0.55, 1), piece(0.55, 1), piece(0.55, 1), piece(0.01, 1)};
  EXPECT_EQ(label_mean(moods(), pieces).label, "bad");
}

TEST(LabelMean, AbstainsBelowTheTasksMargin) {
  const std::vector<WeightedLabel> pieces = {piece(0.9, 1), piece(0.2, 1)};
  EXPECT_EQ(label_mean(moods(0.05), pieces).label, "good");
  const LabelAnswer unsure = label_mean(moods(0.2), pieces);
  EXPECT_EQ(unsure.label, "");
  EXPECT_EQ(unsure.reason, "abstained");
  EXPECT_NEAR(unsure.probability, 0.55, 1e-9);
}

TEST(LabelMean, PassesOverPiecesThatWereNotUnderstood) {
  WeightedLabel broken;
  broken.answer.reason = "unparsed";
  broken.weight = 1000;
  EXPECT_EQ(label_mean(moods(), std::vector<WeightedLabel>{broken, piece(0.1, 1)}).label, "bad");
  EXPECT_EQ(label_mean(moods(), std::vector<WeightedLabel>{broken}).reason, "unparsed");
  EXPECT_EQ(label_mean(moods(), {}).reason, "unparsed");
}

}  // namespace
}  // namespace tandem
