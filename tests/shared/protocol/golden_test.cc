// The bytes of version 2, so that the wire format cannot change by accident. A change here is a new protocol
// version (shared/protocol/README.md).

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

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

// The block in "An example" of shared/protocol/README.md, whose lines are a label (head, envelope, payload)
// or blanks, bytes in hex, and words.
Frames frames_in_the_specification() {
  std::ifstream file("../shared/protocol/README.md");
  std::map<std::string, std::string> hex;
  std::string line, label;
  while (std::getline(file, line) && line != "## An example") continue;
  while (std::getline(file, line) && line != "```") continue;
  while (std::getline(file, line) && line != "```") {
    std::istringstream words(line);
    if (line[0] != ' ') words >> label;
    const auto is_byte = [](const std::string& word) {
      return word.size() == 2 && word.find_first_not_of("0123456789abcdef") == std::string::npos;
    };
    for (std::string word; words >> word && is_byte(word);) hex[label] += word;
  }
  return {testing::from_hex(hex["head"]), testing::from_hex(hex["envelope"]),
          testing::from_hex(hex["payload"])};
}

TEST(GoldenBytes, OfTheExampleInTheSpecificationAreWhatWeWrite) {
  JobRequest request;
  request.text = "很好";
  request.tasks = {"sentiment"};
  SubmitItem item;
  item.id = *JobId::parse("01890a5d-ac96-774b-bcce-b302099a8057");
  item.route = 9;
  item.cost = 12;
  item.payload = encode(request);
  item.urgency = Urgency::kInteractive;
  const Frames ours = encode(Submit{1, "me", {item}});
  const Frames theirs = frames_in_the_specification();
  EXPECT_EQ(testing::to_hex(theirs.head), testing::to_hex(ours.head));
  EXPECT_EQ(testing::to_hex(theirs.envelope), testing::to_hex(ours.envelope));
  EXPECT_EQ(testing::to_hex(theirs.payload), testing::to_hex(ours.payload));

  // And the answer, given in the text below the block.
  const Frames answer = encode(Accepted{1, {{item.id, JobState::kReady, {}, 0}}});
  EXPECT_EQ(testing::to_hex(answer.head), "0202");
  EXPECT_EQ(testing::to_hex(answer.envelope), "92019194c41001890a5dac96774bbcceb302099a805701920ca000");
}

}  // namespace
}  // namespace tandem
