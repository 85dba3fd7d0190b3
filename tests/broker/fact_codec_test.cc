#include "broker/fact_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tandem::broker {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kSeed = 11;

template <typename Fact>
std::string encode(const Fact& fact) {
  std::string bytes(encoded_bytes(fact), '\0');
  broker::encode(fact, kSeed, bytes.data());
  return bytes;
}
Result<DecodedHead> decode_head(Sequence sequence, std::string_view bytes) {
  return broker::decode_head(sequence, bytes, kSeed);
}
Result<std::string_view> decode_payload(Sequence sequence, std::string_view bytes) {
  return broker::decode_payload(sequence, bytes, kSeed);
}

AcceptedFact accepted_fact() {
  AcceptedFact fact;
  fact.sequence = 7;
  fact.id = job_id_from_key("greeting");
  fact.client = "carl";
  fact.route = 0x0123456789ABCDEFull;
  fact.cost = 300;
  fact.attempts_max = 5;
  fact.wall_ms = 1'700'000'000'123;
  fact.urgency = Urgency::kInteractive;
  fact.priority = 7;
  fact.not_before_ms = 1'700'000'001'000;
  fact.expires_ms = 1'700'000'009'000;
  fact.payload = std::string("payload\0with a zero", 19);
  fact.payload_hash = hash128(fact.payload, kSeed);
  return fact;
}

FinishedFact failed_fact() {
  FinishedFact fact;
  fact.sequence = 9;
  fact.accepted = 7;
  fact.id = job_id_from_key("greeting");
  fact.attempt = 3;
  fact.state = JobState::kFailed;
  fact.error = {ErrorCode::kAttempts, "given up"};
  fact.worker = "ann";
  fact.wall_ms = -5;
  return fact;
}

TEST(FactCodecTest, AnAcceptedFactComesBackAsItWas) {
  AcceptedFact fact = accepted_fact();
  const std::string bytes = encode(fact);
  const auto head = decode_head(fact.sequence, bytes);
  ASSERT_TRUE(head) << head.error().text;
  EXPECT_EQ(head->payload_bytes, 19u);
  EXPECT_EQ(decode_payload(fact.sequence, bytes).value(), fact.payload);
  fact.payload = {};
  EXPECT_EQ(std::get<AcceptedFact>(head->fact), fact);
}

TEST(FactCodecTest, AFinishedFactComesBackAsItWas) {
  FinishedFact done = failed_fact();
  done.state = JobState::kDone;
  done.error = {};
  done.payload = "result";
  EXPECT_EQ(decode_payload(9, encode(done)).value(), "result");

  const FinishedFact failed = failed_fact();
  const auto head = decode_head(9, encode(failed));
  ASSERT_TRUE(head) << head.error().text;
  EXPECT_EQ(std::get<FinishedFact>(head->fact), failed);
}

// The bytes are a promise to journals that exist: whoever changes them raises kFormatVersion.
TEST(FactCodecTest, TheBytesAreThoseOfTheSpecification) {
  const std::string bytes = encode(accepted_fact());
  EXPECT_EQ(kFormatVersion, 2u);
  ASSERT_EQ(bytes.size(), 88u + 4u + 19u);
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x01\x04\x01\x07\x2C\x01\x00\x00", 8));
  EXPECT_EQ(bytes.substr(8, 8), std::string("\x05\x00\x00\x00\x13\x00\x00\x00", 8));
  EXPECT_EQ(bytes.substr(16, 8), "\xEF\xCD\xAB\x89\x67\x45\x23\x01");
  EXPECT_EQ(bytes.substr(88, 4), "carl");
  EXPECT_EQ(bytes.substr(92), accepted_fact().payload);
}

TEST(FactCodecTest, EveryDamagedByteIsNoticed) {
  const AcceptedFact fact = accepted_fact();
  const std::string bytes = encode(fact);
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    const auto payload = decode_payload(fact.sequence, damaged);
    ASSERT_FALSE(payload) << "byte " << i;
    EXPECT_EQ(payload.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(payload.error().text, HasSubstr("fact 7: "));
    EXPECT_EQ(decode_head(fact.sequence, damaged).has_value(), i >= 92) << "byte " << i;
  }
}

// A payload's hash says which jobs are equal: another journal's hashes are of no use to anybody.
// Hashes say that the bytes are those that were written, not that whoever wrote them was right.
TEST(FactCodecTest, AnUrgencyOrPriorityThatIsNoneIsRefused) {
  AcceptedFact fact = accepted_fact();
  fact.urgency = static_cast<Urgency>(2);
  auto head = decode_head(fact.sequence, encode(fact));
  ASSERT_FALSE(head);
  EXPECT_THAT(head.error().text, HasSubstr("urgency of 0 or 1"));
  fact = accepted_fact();
  fact.priority = kPriorityMax + 1;
  head = decode_head(fact.sequence, encode(fact));
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().code, ErrorCode::kCorrupt);
}

TEST(FactCodecTest, AnotherSeedReadsNothing) {
  EXPECT_FALSE(broker::decode_head(7, encode(accepted_fact()), kSeed + 1));
}

TEST(FactCodecTest, EveryLengthButTheRightOneIsNoticed) {
  const std::string bytes = encode(failed_fact());
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(decode_head(9, bytes.substr(0, n))) << n << " bytes";
  EXPECT_FALSE(decode_head(9, bytes + "x"));
  EXPECT_TRUE(decode_head(9, bytes));
}

TEST(FactCodecTest, AFactUnderAnothersKeyIsNoticed) {
  const auto head = decode_head(8, encode(accepted_fact()));
  ASSERT_FALSE(head);
  EXPECT_THAT(head.error().text, HasSubstr("fact 8: the head's bytes are not those that were written"));
}

}  // namespace
}  // namespace tandem::broker
