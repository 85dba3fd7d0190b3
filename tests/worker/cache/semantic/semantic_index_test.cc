#include "worker/cache/semantic/semantic_index.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace tandem::semantic {
namespace {

std::vector<float> unit(std::vector<double> numbers) {
  double squares = 0;
  for (const double x : numbers) squares += x * x;
  std::vector<float> made;
  for (const double x : numbers) made.push_back(static_cast<float>(x / std::sqrt(squares)));
  return made;
}

std::vector<float> random_unit(std::mt19937_64& random, size_t dimension) {
  std::normal_distribution<double> normal;
  std::vector<double> numbers(dimension);
  for (double& x : numbers) x = normal(random);
  return unit(numbers);
}

// As texts are: a few hundred subjects, phrasings around each.
std::vector<float> near(std::mt19937_64& random, const std::vector<float>& centre, double spread) {
  std::normal_distribution<double> normal(0, spread / std::sqrt(static_cast<double>(centre.size())));
  std::vector<double> numbers(centre.begin(), centre.end());
  for (double& x : numbers) x += normal(random);
  return unit(numbers);
}

TEST(SemanticIndex, FindsTheNearestFirst) {
  SemanticIndex index(2);
  ASSERT_TRUE(index.add(7, unit({1, 0})));
  ASSERT_TRUE(index.add(8, unit({1, 1})));
  ASSERT_TRUE(index.add(9, unit({0, 1})));
  const auto found = index.search(unit({1, 0.1}), 2);
  ASSERT_EQ(found->size(), 2u);
  EXPECT_EQ((*found)[0].id, 7u);
  EXPECT_NEAR((*found)[0].similarity, 1 / std::sqrt(1.01), 1e-6);
  EXPECT_EQ((*found)[1].id, 8u);
}

TEST(SemanticIndex, IsEmptyAtFirstAndAgainAtTheEnd) {
  SemanticIndex index(2);
  EXPECT_TRUE(index.search(unit({1, 0}), 3)->empty());
  ASSERT_TRUE(index.add(1, unit({1, 0})));
  EXPECT_TRUE(index.remove(1));
  EXPECT_FALSE(index.remove(1));
  EXPECT_TRUE(index.search(unit({1, 0}), 3)->empty());
}

TEST(SemanticIndex, ReplacesAndRenames) {
  SemanticIndex index(2);
  ASSERT_TRUE(index.add(1, unit({1, 0})));
  ASSERT_TRUE(index.add(1, unit({0, 1})));
  EXPECT_EQ(index.size(), 1u);
  EXPECT_TRUE(index.rename(1, 5));
  EXPECT_FALSE(index.rename(1, 6));
  const auto found = index.search(unit({0, 1}), 3);
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ((*found)[0].id, 5u);
  EXPECT_NEAR((*found)[0].similarity, 1, 1e-6);
}

TEST(SemanticIndex, TakesNoOtherVectors) {
  SemanticIndex index(2);
  EXPECT_EQ(index.add(1, unit({1, 0, 0})).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(index.add(1, std::vector<float>{0, 0}).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(index.add(1, std::vector<float>{NAN, 0}).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(index.add(1, std::vector<float>{2, 0}).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(index.search(unit({1, 0, 0}), 1).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(index.size(), 0u);
}

TEST(SemanticIndex, FindsWhatAScanFindsInNearlyAllCases) {
  const uint64_t seed = 20;
  RecordProperty("seed", static_cast<int>(seed));
  std::mt19937_64 random(seed);
  const size_t dimension = 64;
  SemanticIndex index(dimension);
  std::vector<std::vector<float>> centres;
  for (int i = 0; i < 300; ++i) centres.push_back(random_unit(random, dimension));
  for (uint64_t id = 0; id < 4000; ++id) {
    ASSERT_TRUE(index.add(id, near(random, centres[random() % centres.size()], 0.7)));
    if (id % 5 == 0) index.remove(random() % (id + 1));  // while it grows
  }
  size_t n_equal = 0;
  const size_t n_asked = 1000;
  for (size_t i = 0; i < n_asked; ++i) {
    const auto question = near(random, centres[random() % centres.size()], 0.7);
    const auto found = index.search(question, 1);
    ASSERT_EQ(found->size(), 1u);
    n_equal += (*found)[0].id == index.scan(question, 1)[0].id;
  }
  EXPECT_GE(n_equal, n_asked * 99 / 100);
}

// What was removed must never come back, whatever the graph is built of.
TEST(SemanticIndex, KeepsItsIdsThroughAnyChanges) {
  const uint64_t seed = 21;
  RecordProperty("seed", static_cast<int>(seed));
  std::mt19937_64 random(seed);
  SemanticIndex index(8, 20);
  std::vector<std::vector<float>> vectors(200);
  for (int step = 0; step < 4000; ++step) {
    const uint64_t id = random() % vectors.size();
    if (random() % 2 == 0) {
      vectors[id] = random_unit(random, 8);
      ASSERT_TRUE(index.add(id, vectors[id]));
    } else {
      EXPECT_EQ(index.remove(id), !vectors[id].empty());
      vectors[id].clear();
    }
    const auto found = index.search(random_unit(random, 8), 3);
    ASSERT_TRUE(found);
    for (const Neighbour& one : *found) ASSERT_FALSE(vectors[one.id].empty()) << "step " << step;
  }
}

}  // namespace
}  // namespace tandem::semantic
