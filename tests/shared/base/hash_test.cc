#include "shared/base/hash.h"

#include <gtest/gtest.h>

namespace tandem {
namespace {

// Keys of caches that outlive a release: these values are for ever.
TEST(Hash, IsTheSameOnEveryMachine) {
  EXPECT_EQ(hash128("").to_hex(), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(HashBuilder().add("v1").add(uint64_t{7}).add(0.5).finish(),
            HashBuilder().add("v1").add(uint64_t{7}).add(0.5).finish());
}

TEST(Hash, KeepsFieldsApart) {
  const auto of = [](std::string_view a, std::string_view b) { return HashBuilder().add(a).add(b).finish(); };
  EXPECT_NE(of("ab", "c"), of("a", "bc"));
  EXPECT_NE(of("", "a"), of("a", ""));
  EXPECT_EQ(of("a", "b"), of("a", "b"));
}

TEST(Hash, TakesBothZerosAsOne) {
  EXPECT_EQ(HashBuilder().add(0.0).finish(), HashBuilder().add(-0.0).finish());
}

}  // namespace
}  // namespace tandem
