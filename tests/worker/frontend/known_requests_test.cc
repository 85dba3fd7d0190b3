#include "worker/frontend/known_requests.h"

#include <gtest/gtest.h>

#include <string>

namespace tandem {
namespace {

Hash128 request(int number) {
  return hash128(std::to_string(number));
}

KnownRequests::Known asks_for(int number) {
  return {nullptr, {{nullptr, hash128("answer " + std::to_string(number))}}};
}

TEST(KnownRequests, KnowWhatTheyWereTold) {
  KnownRequests known(10);
  EXPECT_EQ(known.find(request(1)), nullptr);
  known.remember(request(1), asks_for(1));
  ASSERT_NE(known.find(request(1)), nullptr);
  EXPECT_EQ(known.find(request(1))->answers[0].second, hash128("answer 1"));
  known.remember(request(1), asks_for(2));
  EXPECT_EQ(known.find(request(1))->answers[0].second, hash128("answer 2"));
}

TEST(KnownRequests, KeepThoseThatAreUsedAndForgetTheOthers) {
  KnownRequests known(10);
  for (int i = 0; i < 1'000; ++i) {
    known.remember(request(i), asks_for(i));
    ASSERT_NE(known.find(request(0)), nullptr) << "after " << i;
    ASSERT_NE(known.find(request(i - i % 9)), nullptr) << "after " << i;
  }
  int n_known = 0;
  for (int i = 1; i < 1'000; ++i) n_known += known.find(request(i)) != nullptr;
  EXPECT_GE(n_known, 9);
  EXPECT_LE(n_known, 20);
}

}  // namespace
}  // namespace tandem
