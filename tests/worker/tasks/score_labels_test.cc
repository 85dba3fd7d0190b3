#include <cmath>
#include <random>

#include "tests/worker/tasks/support.h"
#include "worker/tasks/answer.h"

namespace tandem {
namespace {

using namespace tandem::testing;
using ::testing::HasSubstr;

Task saying(const std::vector<std::string>& words) {
  Task task;
  task.name = "task";
  task.answer = AnswerKind::kLabel;
  for (const std::string& word : words) task.labels.push_back({word, word, "(" + word + ")", {}});
  return task;
}

engine::TokenId end_token() {
  return *tiny_tokenizer().special_id("<|im_end|>");
}

LabelTree tree_of(const Task& task) {
  auto tree = make_label_tree(task, tiny_tokenizer(), end_token());
  EXPECT_TRUE(tree) << tree.error().text;
  return tree ? std::move(*tree) : LabelTree{};
}

LabelAnswer score(const Task& task, const LabelTree& tree, const std::vector<std::vector<float>>& logits) {
  const std::vector<std::span<const float>> spans(logits.begin(), logits.end());
  return score_labels(task, tree, spans);
}

// The usual case: labels that differ in their first token take one forward pass.
TEST(LabelTree, HasOneNodeWhereAllFirstTokensDiffer) {
  const LabelTree tree = tree_of(saying({"Positive", "Negative"}));
  ASSERT_EQ(tree.nodes.size(), 1u);
  EXPECT_TRUE(tree.nodes[0].path.empty());
  EXPECT_EQ(tree.nodes[0].next.size(), 2u);
  EXPECT_EQ(tree.n_labels, 2u);
}

TEST(LabelTree, PartsWhereLabelsPart) {
  const Task task = saying({"aab", "aac", "b"});
  const LabelTree tree = tree_of(task);
  size_t n_endings = 0;
  for (const LabelTree::Node& node : tree.nodes) {
    EXPECT_EQ(node.next.size(), node.labels.size());
    EXPECT_GE(node.next.size(), 2u);
    n_endings += node.next.size() - 1;
  }
  EXPECT_EQ(n_endings, 2u) << "a tree with three leaves";
}

TEST(LabelTree, TellsALabelFromItsBeginningByTheEndToken) {
  const Task task = saying({"x", "x x"});
  const LabelTree tree = tree_of(task);
  ASSERT_EQ(tree.nodes.size(), 1u);
  EXPECT_EQ(tree.nodes[0].path, tiny_tokenizer().encode_plain("x"));
  EXPECT_EQ(std::count(tree.nodes[0].next.begin(), tree.nodes[0].next.end(), end_token()), 1);
}

TEST(LabelTree, RefusesLabelsThatAreTheSameToTheTokenizer) {
  // Different bytes, one text after NFC: "é" and "e" with an accent.
  const auto tree = make_label_tree(saying({"caf\u00e9", "cafe\u0301"}), tiny_tokenizer(), end_token());
  ASSERT_FALSE(tree);
  EXPECT_EQ(tree.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(tree.error().text, HasSubstr("expected labels with different tokens"));
  EXPECT_FALSE(make_label_tree(saying({}), tiny_tokenizer(), end_token()));
  EXPECT_THAT(make_label_tree(saying({"a", "b"}), tiny_tokenizer(), -1).error().text, HasSubstr("end token"));
}

TEST(ScoreLabels, GivesTheProbabilityAmongTheLabelsAndTheMargin) {
  const Task task = saying({"Positive", "Negative"});
  const LabelTree tree = tree_of(task);
  const size_t positive = tree.nodes[0].labels[0][0] == 0 ? 0 : 1;
  std::vector<float> logits(2);
  logits[positive] = 3;
  logits[1 - positive] = 1;
  const LabelAnswer answer = score(task, tree, {logits});
  const double p = 1 / (1 + std::exp(-2.0));
  EXPECT_EQ(answer.label, "Positive");
  EXPECT_EQ(answer.display, "(Positive)");
  EXPECT_NEAR(answer.probability, p, 1e-9);
  EXPECT_NEAR(answer.margin, 2 * p - 1, 1e-9);
  EXPECT_EQ(answer.reason, "");
  ASSERT_EQ(answer.scores.size(), 2u);
  EXPECT_EQ(answer.scores[0].id, "Positive") << "scores stand in the order of the file";
  EXPECT_NEAR(answer.scores[1].probability, 1 - p, 1e-9);
}

// Any labels, any logits: probabilities of all labels add up to one, each the product along its way, and the
// answer is the likeliest.
TEST(ScoreLabels, IsADistributionOverAnyTree) {
  const unsigned seed = 99;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (size_t round = 0; round < 100; ++round) {
    std::set<std::string> words;
    while (words.size() < 2 + round % 9) {
      std::string word;
      for (size_t i = 0, n = 1 + random() % 5; i < n; ++i) word += "abx 天"[random() % 3];
      words.insert("w" + word);
    }
    const Task task = saying({words.begin(), words.end()});
    const LabelTree tree = tree_of(task);
    std::vector<std::vector<float>> logits;
    for (const LabelTree::Node& node : tree.nodes) {
      std::vector<float>& values = logits.emplace_back();
      for (size_t i = 0; i < node.next.size(); ++i)
        values.push_back(static_cast<float>(random() % 2000) / 100 - 10);
    }
    const LabelAnswer answer = score(task, tree, logits);
    double sum = 0, best = 0;
    for (const LabelScore& score : answer.scores) {
      sum += score.probability;
      best = std::max(best, score.probability);
    }
    EXPECT_NEAR(sum, 1, 1e-9);
    EXPECT_EQ(answer.probability, best);
    EXPECT_GE(answer.margin, 0);
  }
}

TEST(ScoreLabels, AbstainsBelowTheMarginAndStillShowsTheScores) {
  Task task = saying({"Positive", "Negative"});
  task.margin_min = 0.5;
  const LabelTree tree = tree_of(task);
  const LabelAnswer unsure = score(task, tree, {{1.0f, 1.1f}});
  EXPECT_EQ(unsure.label, "");
  EXPECT_EQ(unsure.display, "");
  EXPECT_EQ(unsure.reason, "abstained");
  EXPECT_EQ(unsure.scores.size(), 2u);
  EXPECT_GT(unsure.probability, 0.5);
  EXPECT_NE(score(task, tree, {{1.0f, 3.0f}}).label, "");
}

TEST(ScoreLabels, TakesTheFirstOfEqualLabels) {
  const Task task = saying({"Positive", "Negative"});
  const LabelAnswer answer = score(task, tree_of(task), {{2.0f, 2.0f}});
  EXPECT_EQ(answer.label, "Positive");
  EXPECT_EQ(answer.margin, 0);
}

TEST(ScoreLabels, HasNoAnswerFromLogitsThatAreNoNumbers) {
  const Task task = saying({"Positive", "Negative"});
  const LabelAnswer answer = score(task, tree_of(task), {{std::nanf(""), 2.0f}});
  EXPECT_EQ(answer.label, "");
  EXPECT_EQ(answer.reason, "unparsed");
}

// Extreme logits must not become 0/0.
TEST(ScoreLabels, StandsExtremeLogits) {
  const Task task = saying({"Positive", "Negative"});
  const LabelAnswer answer = score(task, tree_of(task), {{-1e30f, 1e30f}});
  EXPECT_EQ(answer.probability, 1);
  EXPECT_EQ(answer.margin, 1);
}

}  // namespace
}  // namespace tandem
