#include "worker/cache/answer_record.h"

#include "tests/worker/cache/support.h"

namespace tandem {
namespace {

using namespace tandem::testing;

TEST(AnswerRecord, ComesBackAsItWasWritten) {
  const std::string bytes =
      write_record(key_of("a"), {1'700'000'000'123, 1'700'000'060'123, "mine", "payload"});
  const auto record = read_record(key_of("a"), bytes);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->created_ms, 1'700'000'000'123);
  EXPECT_EQ(record->expires_ms, 1'700'000'060'123);
  EXPECT_EQ(record->name_space, "mine");
  EXPECT_EQ(record->payload, "payload");
}

TEST(AnswerRecord, HasTheBytesOfItsDescription) {
  const std::string bytes = write_record(key_of("a"), {0x0102, 0x0304, "us", "xyz"});
  EXPECT_EQ(bytes.size(), 30u);
  EXPECT_EQ(bytes.substr(8), std::string("\x02\x01\0\0\0\0\0\0\x04\x03\0\0\0\0\0\0\2usxyz", 22));
}

TEST(AnswerRecord, IsNothingWhenAnyBitIsDamaged) {
  const std::string good = write_record(key_of("a"), {5, 6, "ns", "payload"});
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(read_record(key_of("a"), bad)) << "bit " << bit;
  }
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(read_record(key_of("a"), good.substr(0, size))) << "cut to " << size;
  }
  EXPECT_FALSE(read_record(key_of("a"), good + "x"));
}

TEST(AnswerRecord, IsNothingUnderAnotherKey) {
  EXPECT_FALSE(read_record(key_of("b"), write_record(key_of("a"), {5, 6, "ns", "payload"})));
}

TEST(AnswerRecord, ExpiresAtItsTimeAndNotBefore) {
  const AnswerRecord record{0, 1000, "", ""};
  EXPECT_FALSE(record.expired(999));
  EXPECT_TRUE(record.expired(1000));
  EXPECT_FALSE((AnswerRecord{0, 0, "", ""}.expired(INT64_MAX))) << "0: never";
}

}  // namespace
}  // namespace tandem
