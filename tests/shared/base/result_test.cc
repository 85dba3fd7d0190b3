#include "shared/base/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace tandem {
namespace {

Result<int> positive(int n) {
  if (n <= 0) return fail(ErrorCode::kInvalid, "expected a positive number, found " + std::to_string(n));
  return n;
}

Result<void> check(int n) {
  TANDEM_TRY(positive(n));
  return {};
}

Result<int> sum(int a, int b) {
  TANDEM_ASSIGN(const int left, positive(a));
  TANDEM_ASSIGN(const int right, positive(b));
  return left + right;
}

Result<std::unique_ptr<int>> boxed(int n) {
  TANDEM_ASSIGN(const int value, positive(n));
  return std::make_unique<int>(value);
}

TEST(Result, IsAValueOrAnError) {
  EXPECT_EQ(positive(1), 1);
  ASSERT_FALSE(positive(0));
  EXPECT_EQ(positive(0).error(), (Error{ErrorCode::kInvalid, "expected a positive number, found 0"}));
}

TEST(Result, ErrorsLeaveTheFunctionThatTries) {
  EXPECT_TRUE(check(1));
  EXPECT_EQ(check(-1).error().text, "expected a positive number, found -1");
  EXPECT_EQ(sum(1, 2), 3);
  EXPECT_EQ(sum(0, 2).error().text, "expected a positive number, found 0");
  EXPECT_EQ(sum(1, -2).error().text, "expected a positive number, found -2");
}

TEST(Result, ValuesThatCannotBeCopiedAreMoved) {
  const auto make = []() -> Result<int> {
    TANDEM_ASSIGN(const std::unique_ptr<int> box, boxed(7));
    return *box;
  };
  EXPECT_EQ(make(), 7);
}

TEST(Result, ErrorsGetTheirPlaceInFront) {
  EXPECT_EQ(Result<int>(fail_in("a.toml", positive(0).error())).error().text,
            "a.toml: expected a positive number, found 0");
}

// The numbers are on the wire.
TEST(ErrorCodes, HaveTheirNumbersAndNamesForEver) {
  const std::vector<std::string> names = {"invalid", "not_found", "exists",   "full",    "unavailable",
                                          "timeout", "cancelled", "expired",  "corrupt", "unsupported",
                                          "io",      "internal",  "too_long", "attempts"};
  for (size_t i = 0; i < names.size(); ++i) {
    const auto code = error_code_from(i + 1);
    ASSERT_TRUE(code);
    EXPECT_EQ(static_cast<size_t>(*code), i + 1);
    EXPECT_EQ(to_string(*code), names[i]);
  }
  EXPECT_FALSE(error_code_from(0));
  EXPECT_FALSE(error_code_from(names.size() + 1)) << "a new code needs a line here";
}

}  // namespace
}  // namespace tandem
