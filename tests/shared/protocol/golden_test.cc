// The bytes of version 1, so that the wire format cannot change by accident. A change here is a new protocol
// version (shared/protocol/README.md).

#include <gtest/gtest.h>

#include "shared/protocol/frames.h"
#include "tests/shared/protocol/samples.h"

namespace tandem {
namespace {

struct Golden {
  const char* kind;
  const char* head;
  const char* envelope;
  const char* payload;
};

constexpr Golden kGolden[] = {
#include "tests/shared/protocol/golden_frames.inc"
};

TEST(GoldenBytes, OfEveryKindAreWhatTheyWere) {
  const auto samples = testing::sample_messages();
  ASSERT_EQ(std::size(kGolden), samples.size());
  for (size_t i = 0; i < samples.size(); ++i) {
    const Frames frames = encode(samples[i]);
    EXPECT_EQ(kind_name(samples[i]), kGolden[i].kind);
    EXPECT_EQ(testing::to_hex(frames.head), kGolden[i].head) << kGolden[i].kind;
    EXPECT_EQ(testing::to_hex(frames.envelope), kGolden[i].envelope) << kGolden[i].kind;
    EXPECT_EQ(frames.payload, kGolden[i].payload) << kGolden[i].kind;
  }
}

TEST(GoldenBytes, AreReadAsWhatTheyWere) {
  const auto samples = testing::sample_messages();
  for (size_t i = 0; i < samples.size(); ++i) {
    const auto message = decode(testing::from_hex(kGolden[i].head), testing::from_hex(kGolden[i].envelope),
                                kGolden[i].payload);
    ASSERT_TRUE(message) << kGolden[i].kind << ": " << message.error().text;
    EXPECT_EQ(*message, samples[i]) << kGolden[i].kind;
  }
}

TEST(GoldenBytes, OfTheJobPayloadsAreWhatTheyWere) {
  constexpr const char* kPayloads[] = {
#include "tests/shared/protocol/golden_payloads.inc"
  };
  EXPECT_EQ(testing::to_hex(encode(testing::sample_request())), kPayloads[0]);
  EXPECT_EQ(testing::to_hex(encode(testing::sample_result())), kPayloads[1]);
  EXPECT_EQ(testing::to_hex(encode(testing::sample_part())), kPayloads[2]);
  EXPECT_EQ(decode_job_request(testing::from_hex(kPayloads[0])), testing::sample_request());
  EXPECT_EQ(decode_job_result(testing::from_hex(kPayloads[1])), testing::sample_result());
  EXPECT_EQ(decode_job_part(testing::from_hex(kPayloads[2])), testing::sample_part());
}

// shared/protocol/README.md, "An example".
TEST(GoldenBytes, OfTheExampleInTheSpecificationAreASubmit) {
  const auto message =
      decode(testing::from_hex("0101"),
             testing::from_hex("9301a26d659195c41001890a5dac96774bbcceb302099a8057090c001e"),
             testing::from_hex("82a474657874a6e5be88e5a5bda57461736b7391a973656e74696d656e74"));
  ASSERT_TRUE(message) << message.error().text;
  const auto& submit = std::get<Submit>(*message);
  EXPECT_EQ(submit.client, "me");
  const auto request = decode_job_request(submit.items.at(0).payload);
  ASSERT_TRUE(request) << request.error().text;
  EXPECT_EQ(request->text, "很好");
}

}  // namespace
}  // namespace tandem
