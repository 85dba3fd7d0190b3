// Two programs of different age meet.

#include "client/library/version.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shared/protocol/frames.h"

namespace tandem::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// What the two sides make of each other's messages is worded by decode(): its text is what is understood
// here.
TEST(Version, AnOlderBrokersAnswerIsUnderstoodAsItsRefusal) {
  const Frames frames =
      encode(Refused{0, {ErrorCode::kUnsupported, "expected protocol version 1, found 2"}}, 1);
  const auto decoded = decode(frames.head, frames.envelope, Bytes(frames.payload));
  std::optional<Refused> refused;
  if (!decoded) {
    refused = refused_version(decoded.error());
  } else {
    refused = std::get<Refused>(*decoded);
  }
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->request, 0u);
  EXPECT_EQ(other_version(refused->error), 1u);
}

TEST(Version, ANewerBrokerSaysWhatItSpeaks) {
  EXPECT_EQ(other_version({ErrorCode::kUnsupported, "expected protocol version 3, found 2"}), 3u);
}

TEST(Version, OtherRefusalsAreNotAboutTheVersion) {
  EXPECT_FALSE(other_version({ErrorCode::kInvalid, "expected protocol version 3, found 2"}));
  EXPECT_FALSE(other_version({ErrorCode::kUnsupported, "expected a kind of message, found number 99"}));
  EXPECT_FALSE(other_version({ErrorCode::kUnsupported, "expected protocol version x, found 2"}));
  EXPECT_FALSE(other_version({ErrorCode::kUnsupported, "expected protocol version 3"}));
  const auto unknown_kind = decode(std::string{2, 99}, "\x90", {});
  ASSERT_FALSE(unknown_kind);
  EXPECT_FALSE(refused_version(unknown_kind.error())) << "a newer broker of the same version";
  EXPECT_FALSE(other_version(unknown_kind.error()));
}

TEST(Version, TheErrorNamesBothVersionsAndTheOlderSide) {
  EXPECT_THAT(version_error(1, "tcp://here:1").text,
              AllOf(HasSubstr("tcp://here:1 speaks version 1"), HasSubstr("this program version 2"),
                    HasSubstr("the broker is the older one")));
  EXPECT_THAT(version_error(3, "x").text, HasSubstr("this program is the older one"));
}

}  // namespace
}  // namespace tandem::testing
