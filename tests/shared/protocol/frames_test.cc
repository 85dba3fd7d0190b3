#include "shared/protocol/frames.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <msgpack.hpp>
#include <random>

#include "shared/base/limits.h"
#include "tests/shared/protocol/samples.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using testing::random_message;
using testing::sample_messages;

using tandem::decode;
Result<Message> decode(const Frames& frames) {
  return decode(frames.head, frames.envelope, frames.payload);
}

// An envelope written by hand, as another program might.
class Hand {
 public:
  Hand() : packer(buffer) {}
  std::string bytes() const { return {buffer.data(), buffer.size()}; }
  msgpack::sbuffer buffer;
  msgpack::packer<msgpack::sbuffer> packer;
};

std::string head_of(uint8_t kind) {
  return {static_cast<char>(kProtocolVersion), static_cast<char>(kind)};
}

// Who is refused wants to know which of his messages it was.
TEST(Frames, TellTheRequestOfAMessageThatCannotBeRead) {
  Submit submit{7, "me", {SubmitItem{}}};
  submit.items[0].attempts_max = static_cast<uint32_t>(limits::kAttemptsMax) + 1;
  const Frames frames = encode(submit);
  EXPECT_FALSE(decode(frames));
  EXPECT_EQ(request_of(frames.head, frames.envelope), 7u);
  for (const Message& message : sample_messages()) {
    const Frames good = encode(message);
    const uint64_t expected = std::visit(
        [](const auto& kind) -> uint64_t {
          if constexpr (requires { kind.request; }) return kind.request;
          return 0;
        },
        message);
    EXPECT_EQ(request_of(good.head, good.envelope), expected) << kind_name(message);
  }

  EXPECT_EQ(request_of(frames.head, ""), 0u);
  EXPECT_EQ(request_of(frames.head, "\x90"), 0u) << "an empty list";
  EXPECT_EQ(request_of(frames.head, "\x91\xc0"), 0u) << "no number";
  EXPECT_EQ(request_of(frames.head, "\xff"), 0u);
  EXPECT_EQ(request_of("", frames.envelope), 0u);
  EXPECT_EQ(request_of("\x01\x01", frames.envelope), 0u) << "another version";
}

TEST(Frames, CarryEveryKindThereAndBack) {
  const auto samples = sample_messages();
  ASSERT_EQ(samples.size(), std::variant_size_v<Message>) << "a new kind needs a sample";
  for (size_t i = 0; i < samples.size(); ++i) {
    EXPECT_EQ(samples[i].index(), i);
    const auto back = decode(encode(samples[i]));
    ASSERT_TRUE(back) << kind_name(samples[i]) << ": " << back.error().text;
    EXPECT_EQ(*back, samples[i]) << kind_name(samples[i]);
  }
}

TEST(Frames, CarryRandomMessagesThereAndBack) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 2000; ++i) {
    const Message message = random_message(random);
    const auto back = decode(encode(message));
    ASSERT_TRUE(back) << kind_name(message) << ": " << back.error().text;
    ASSERT_EQ(*back, message) << kind_name(message);
  }
}

// Whoever reads must never read on past what is there.
TEST(Frames, AreRefusedWhenCutAnywhere) {
  for (const Message& message : sample_messages()) {
    const Frames frames = encode(message);
    for (size_t n = 0; n < frames.envelope.size(); ++n) {
      // In memory of its own, so that a sanitizer sees one byte too many.
      const std::vector<char> cut(frames.envelope.begin(), frames.envelope.begin() + static_cast<long>(n));
      const auto back = decode(frames.head, {cut.data(), cut.size()}, frames.payload);
      ASSERT_FALSE(back) << kind_name(message) << " cut at " << n;
      EXPECT_EQ(back.error().code, ErrorCode::kInvalid);
    }
    for (size_t n = 0; n < frames.payload.size(); ++n) {
      ASSERT_FALSE(decode(frames.head, frames.envelope, frames.payload.substr(0, n)));
    }
  }
}

TEST(Frames, AreRefusedWithMoreThanTheySay) {
  for (const Message& message : sample_messages()) {
    const Frames frames = encode(message);
    const auto longer = decode(frames.head, frames.envelope + '\0', frames.payload);
    ASSERT_FALSE(longer);
    EXPECT_THAT(longer.error().text, HasSubstr("found 1 more"));
    const auto fuller = decode(frames.head, frames.envelope, frames.payload + "x");
    ASSERT_FALSE(fuller);
    EXPECT_THAT(fuller.error().text, HasSubstr("payload frame, found 1 bytes more"));
  }
}

// Every value in every sample, replaced by values of every other type.
void replace_each(const msgpack::object& original, msgpack::zone& zone, msgpack::object& root,
                  msgpack::object& at, const std::string& kind) {
  std::vector<msgpack::object> others;
  others.emplace_back();  // nil
  others.emplace_back(true);
  others.emplace_back(-1);
  others.emplace_back(0.5);
  others.emplace_back(std::string("text"), zone);
  others.emplace_back(std::vector<int>{}, zone);
  others.emplace_back(std::map<std::string, int>{}, zone);
  others.emplace_back(std::vector<char>(16, 'b'), zone);  // binary
  const msgpack::object kept = at;
  for (const msgpack::object& other : others) {
    if (other.type == kept.type) continue;
    at = other;
    Hand hand;
    hand.packer.pack(root);
    const std::string envelope = hand.bytes();
    for (const Message& message : sample_messages()) {
      if (kind_name(message) != kind) continue;
      const Frames frames = encode(message);
      const auto back = decode(frames.head, envelope, frames.payload);
      ASSERT_FALSE(back) << kind << ": " << original << " became " << root;
      EXPECT_EQ(back.error().code, ErrorCode::kInvalid);
      EXPECT_THAT(back.error().text, ::testing::MatchesRegex(kind + "[^ ]*: expected .*, found .*"));
    }
  }
  at = kept;
  if (at.type != msgpack::type::ARRAY) return;
  for (uint32_t i = 0; i < at.via.array.size; ++i) {
    replace_each(original, zone, root, at.via.array.ptr[i], kind);
  }
}

TEST(Frames, AreRefusedWithAValueOfAnotherTypeInAnyField) {
  for (const Message& message : sample_messages()) {
    const Frames frames = encode(message);
    const auto handle = msgpack::unpack(frames.envelope.data(), frames.envelope.size());
    msgpack::zone zone;
    msgpack::object root(handle.get(), zone);
    replace_each(handle.get(), zone, root, root, std::string(kind_name(message)));
  }
}

// A newer program may have more to say at the end of a message or of an item; an older one passes over it.
TEST(Frames, MayHaveFieldsThatWeDoNotKnowAtTheEnd) {
  Hand hand;
  hand.packer.pack_array(4);  // Fetch: request, ids, and two of another time
  hand.packer.pack(8);
  hand.packer.pack_array(0);
  hand.packer.pack(std::map<std::string, std::vector<int>>{{"new", {1, 2, 3}}});
  hand.packer.pack("newer");
  const auto message = decode(head_of(3), hand.bytes(), "");
  ASSERT_TRUE(message) << message.error().text;
  EXPECT_EQ(*message, Message(Fetch{8, {}}));
}

TEST(Frames, MustHaveTheFieldsThatWeKnow) {
  Hand hand;
  hand.packer.pack_array(1);
  hand.packer.pack(8);
  const auto message = decode(head_of(3), hand.bytes(), "");
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().text, "fetch: expected 2 fields, found 1");
}

TEST(Frames, NameThePlaceOfAMistake) {
  Hand hand;
  hand.packer.pack_array(2);
  hand.packer.pack(8);
  hand.packer.pack_array(2);
  hand.packer.pack(std::vector<char>(16));
  hand.packer.pack(std::vector<char>(15));
  const auto message = decode(head_of(3), hand.bytes(), "");
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().text,
            "fetch.ids[1]: expected a job id, binary data of 16 bytes, found binary data of 15 bytes");
}

TEST(Frames, AreRefusedWithAnotherVersionKindOrHead) {
  const Frames frames = encode(Ready{4});
  const auto version = decode(std::string("\x01\x14", 2), frames.envelope, "");
  ASSERT_FALSE(version);
  EXPECT_EQ(version.error(), (Error{ErrorCode::kUnsupported, "expected protocol version 2, found 1"}));
  const auto kind = decode(head_of(99), frames.envelope, "");
  ASSERT_FALSE(kind);
  EXPECT_EQ(kind.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(kind.error().text, HasSubstr("found number 99"));
  for (const std::string head : {"", "\x01", "\x01\x14\x01"}) {
    const auto bad = decode(head, frames.envelope, "");
    ASSERT_FALSE(bad);
    EXPECT_EQ(bad.error().code, ErrorCode::kInvalid);
  }
}

// Somebody of another time must be able to read why it is not served.
TEST(Frames, RefuseUnderTheVersionOfWhomTheyAreFor) {
  const Refused refused{7, {ErrorCode::kUnsupported, "expected protocol version 2, found 1"}};
  const Frames ours = encode(Message(refused));
  const Frames theirs = encode(refused, 1);
  EXPECT_EQ(version_of(ours.head), kProtocolVersion);
  EXPECT_EQ(version_of(theirs.head), 1);
  EXPECT_EQ(theirs.head[1], ours.head[1]);
  EXPECT_EQ(theirs.envelope, ours.envelope);
  EXPECT_EQ(theirs.payload, ours.payload);
  // What version 1 wrote, byte by byte.
  EXPECT_EQ(testing::to_hex(theirs.head), "0108");
  EXPECT_EQ(
      testing::to_hex(encode(Refused{11, {ErrorCode::kTooLong, "expected 10 bytes, found 11"}}, 1).envelope),
      "920b920dbb65787065637465642031302062797465732c20666f756e64203131");
}

// And we must be able to read why somebody of another time does not serve us, whatever version it wrote
// there.
TEST(Frames, ReadARefusalOfAnyVersion) {
  const Refused refused{0, {ErrorCode::kUnsupported, "expected protocol version 1, found 2"}};
  for (const uint8_t version : {1, 2, 3, 255}) {
    const auto message = decode(encode(refused, version));
    ASSERT_TRUE(message) << message.error().text;
    EXPECT_EQ(*message, Message(refused));
  }
}

TEST(Frames, SayTheirVersionEvenWhereTheyCannotBeRead) {
  EXPECT_EQ(version_of(encode(Goodbye{}).head), kProtocolVersion);
  EXPECT_EQ(version_of(std::string("\x09\xff", 2)), 9);
  for (const std::string head : {"", "\x01", "\x01\x14\x01", "GET / HTTP/1.1"}) {
    EXPECT_EQ(version_of(head), 0) << "it is no head";
  }
}

// A header may claim four billion elements: nothing may be set aside for them before they are there.
TEST(Frames, AreNotImpressedByHostileSizes) {
  const std::vector<std::string> hostile = {
      "ddffffffff",        // the message as a list of 2^32 - 1
      "9208ddffffffff",    // its ids
      "9208dd00001000",    // as many ids as there may be, none of which is there
      "9208dbffffffff",    // a string of 4 GiB instead of the ids
      "9208c6ffffffff",    // binary data of 4 GiB
      "9208c9ffffffff",    // an extension of 4 GiB
      "930890dfffffffff",  // a map of 2^32 - 1 in a field that we do not know
      "930890ddffffffffddffffffffddffffffff",
      "9208c1",  // the byte that msgpack never uses
      "",
  };
  for (const std::string& hex : hostile) {
    const auto message = decode(head_of(3), testing::from_hex(hex), "");
    ASSERT_FALSE(message) << hex;
    EXPECT_THAT(message.error().text, ::testing::StartsWith("fetch")) << hex;
  }
}

TEST(Frames, MayBeNestedAsDeepAsTheyLikeInFieldsThatWeDoNotKnow) {
  const std::string deep(1 << 20, '\x91');  // lists of one in lists of one
  const auto endless = decode(head_of(3), testing::from_hex("930890") + deep, "");
  ASSERT_FALSE(endless);
  const auto whole = decode(head_of(3), testing::from_hex("930890") + deep + '\xc0', "");
  EXPECT_TRUE(whole);
}

TEST(Frames, HaveItemsUpToTheLimit) {
  Fetch fetch{1, std::vector<JobId>(limits::kItemsPerMessageMax)};
  EXPECT_TRUE(decode(encode(fetch)));
  fetch.ids.emplace_back();
  const auto message = decode(encode(fetch));
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error(),
            (Error{ErrorCode::kTooLong, "fetch.ids: expected a list of at most 4096, found 4097"}));
}

TEST(Frames, HaveNamesUpToTheLimit) {
  Hello hello;
  hello.worker = std::string(limits::kNameBytesMax, 'n');
  EXPECT_TRUE(decode(encode(hello)));
  hello.worker += 'n';
  const auto message = decode(encode(hello));
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().code, ErrorCode::kTooLong);
  EXPECT_THAT(message.error().text,
              HasSubstr("hello.worker: expected a string of at most 128 bytes, found 129"));
}

// With a '/', the results of "a/b" would be published below those of "a".
TEST(Frames, HaveClientNamesThatKeepTopicsApart) {
  for (const std::string bad : {"", "a/b", "a\nb", "\x7f", "\xff"}) {
    const auto message = decode(encode(Submit{1, bad, {}}));
    ASSERT_FALSE(message) << bad;
    EXPECT_THAT(message.error().text, ::testing::StartsWith("submit.client: expected "));
  }
  EXPECT_TRUE(decode(encode(Submit{1, "小明", {}})));
}

TEST(Frames, HavePayloadsUpToTheLimit) {
  Submit submit{1, "a", {{JobId{}, 0, 1, 0, std::string(limits::kPayloadBytesMax, 'p')}}};
  EXPECT_TRUE(decode(encode(submit)));
  submit.items[0].payload = std::string(limits::kPayloadBytesMax + 1, 'p');
  const auto message = decode(encode(submit));
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().code, ErrorCode::kTooLong);
  EXPECT_THAT(message.error().text, HasSubstr("submit.items[0].payload"));
}

TEST(Frames, HaveAMessageUpToTheLimit) {
  const std::string large(limits::kMessageBytesMax, '\0');
  const auto message = decode(head_of(3), "x", large);
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().code, ErrorCode::kTooLong);
}

TEST(Frames, HaveAttemptsUpToTheLimit) {
  EXPECT_TRUE(decode(encode(Submit{1, "a", {{JobId{}, 0, 1, limits::kAttemptsMax, ""}}})));
  const auto message = decode(encode(Submit{1, "a", {{JobId{}, 0, 1, limits::kAttemptsMax + 1, ""}}}));
  ASSERT_FALSE(message);
  EXPECT_THAT(message.error().text, HasSubstr("from 0 to 100, found the number 101"));
}

TEST(Frames, HavePrioritiesDelaysAndDeadlinesUpToTheLimit) {
  const auto submit = [](uint8_t priority, uint64_t delay_ms, uint64_t ttl_ms) {
    SubmitItem item;
    item.priority = priority;
    item.delay_ms = delay_ms;
    item.ttl_ms = ttl_ms;
    return decode(encode(Submit{1, "a", {item}}));
  };
  EXPECT_TRUE(submit(kPriorityMax, limits::kDelayMsMax, limits::kDelayMsMax));
  const auto priority = submit(kPriorityMax + 1, 0, 0);
  ASSERT_FALSE(priority);
  EXPECT_THAT(priority.error().text,
              HasSubstr("submit.items[0].priority: expected a whole number from 0 to 9"));
  const auto delay = submit(0, limits::kDelayMsMax + 1, 0);
  ASSERT_FALSE(delay);
  EXPECT_THAT(delay.error().text,
              HasSubstr("submit.items[0].delay_ms: expected a whole number from 0 to 31622400000"));
  EXPECT_FALSE(submit(0, 0, limits::kDelayMsMax + 1));
}

TEST(Frames, HaveStatesAndUrgenciesThatExist) {
  const auto accepted = [](const std::string& state) {
    return decode(head_of(2),
                  testing::from_hex("920191"
                                    "94c410" +
                                    std::string(32, '0') + state + "920ca000"),
                  "");
  };
  EXPECT_TRUE(accepted("07"));
  const auto state = accepted("08");
  ASSERT_FALSE(state);
  EXPECT_THAT(state.error().text, HasSubstr("accepted.items[0].state: expected a whole number from 0 to 7"));
  const auto job = [](const std::string& urgency) {
    return decode(head_of(23),
                  testing::from_hex("920191"
                                    "95c410" +
                                    std::string(32, '0') + "0100" + urgency + "00"),
                  "");
  };
  EXPECT_TRUE(job("01"));
  const auto urgency = job("02");
  ASSERT_FALSE(urgency);
  EXPECT_THAT(urgency.error().text, HasSubstr("job.items[0].urgency: expected a whole number from 0 to 1"));
}

TEST(Frames, NameThePlaceOfAMistakeInsideAnItem) {
  Frames frames = encode(Inspected{1, {}, {}, "asked", "answered"});
  // The state of the job inside: a list of 5, the request, a list of 13, an id of 18 bytes, an empty client.
  frames.envelope.at(1 + 1 + 1 + 18 + 1) = 8;
  const auto message = decode(frames);
  ASSERT_FALSE(message);
  EXPECT_THAT(message.error().text, ::testing::StartsWith("inspected.job.state: expected "));
}

// Both payloads of one message are in one frame, in the order of their fields.
TEST(Frames, MayHaveTwoPayloadsInOneItem) {
  const Frames frames = encode(Inspected{1, {}, {}, "asked", "answered"});
  EXPECT_EQ(frames.payload, "askedanswered");
  const auto message = decode(frames);
  ASSERT_TRUE(message);
  EXPECT_EQ(std::get<Inspected>(*message).asked, "asked");
  EXPECT_EQ(std::get<Inspected>(*message).answered, "answered");
}

// What a message brings is not copied: each payload is a part of the frame, and keeps it.
TEST(Frames, LendTheirMemoryToThePayloads) {
  const Frames frames = encode(Partial{"w", {{JobId{}, 1, "abc"}, {JobId{}, 1, "de"}}});
  auto owner = std::make_shared<const std::string>(frames.payload);
  const std::weak_ptr<const std::string> watched = owner;
  const char* const at = owner->data();
  std::vector<PartialItem> items;
  {
    const Bytes frame(owner, *owner);
    owner.reset();
    auto message = decode(frames.head, frames.envelope, frame);
    ASSERT_TRUE(message);
    items = std::get<Partial>(std::move(*message)).items;
  }
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0].payload.view().data(), at);
  EXPECT_EQ(items[1].payload.view().data(), at + 3);
  items.erase(items.begin());
  ASSERT_FALSE(watched.expired()) << "the second still looks at it";
  EXPECT_EQ(items[0].payload, "de");
  items.clear();
  EXPECT_TRUE(watched.expired());
}

TEST(Frames, SplitThePayloadFrameByTheSizesInTheEnvelope) {
  const Frames frames = encode(Partial{"w", {{JobId{}, 1, "abc"}, {JobId{}, 1, ""}, {JobId{}, 1, "de"}}});
  EXPECT_EQ(frames.payload, "abcde");
  // The first says one byte more than all of them have: then the last finds too few.
  const auto message = decode(frames.head, frames.envelope, "abcd");
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().text,
            "partial.items[2].payload: expected 2 bytes in the payload frame, found 1 left");
}

// An error often quotes somebody's input; the message that carries it must arrive all the same.
TEST(Frames, CutErrorTextsAndMakeThemUtf8) {
  const auto cut = decode(encode(Refused{1, {ErrorCode::kInvalid, std::string(10000, 'e')}}));
  ASSERT_TRUE(cut);
  EXPECT_EQ(std::get<Refused>(*cut).error.text.size(), limits::kErrorTextBytesMax);
  const auto valid = decode(encode(Refused{1, {ErrorCode::kInvalid, "found '\xff'"}}));
  ASSERT_TRUE(valid);
  EXPECT_EQ(std::get<Refused>(*valid).error.text, "found '\uFFFD'");
  const auto both = decode(encode(Refused{1, {ErrorCode::kInvalid, std::string(10000, '\xff')}}));
  EXPECT_TRUE(both);
}

TEST(Frames, UnderstandErrorCodesOfANewerProgramAsInternal) {
  Hand hand;
  hand.packer.pack_array(2);
  hand.packer.pack(1);
  hand.packer.pack_array(2);
  hand.packer.pack(200);
  hand.packer.pack("something new");
  const auto message = decode(head_of(8), hand.bytes(), "");
  ASSERT_TRUE(message) << message.error().text;
  EXPECT_EQ(std::get<Refused>(*message).error, (Error{ErrorCode::kInternal, "something new"}));
}

// "No error" is an empty text beside a code from 1: a worker that sends 0 would lose every result.
TEST(Frames, RefuseTheErrorCodeZeroAlsoBesideAnEmptyText) {
  const auto with_code = [](int code) {
    Hand hand;
    hand.packer.pack_array(2);
    hand.packer.pack(1);
    hand.packer.pack_array(2);
    hand.packer.pack(code);
    hand.packer.pack("");
    return decode(head_of(8), hand.bytes(), "");
  };
  EXPECT_TRUE(with_code(12));
  const auto zero = with_code(0);
  ASSERT_FALSE(zero);
  EXPECT_THAT(zero.error().text, HasSubstr("expected an error code from 1, found 0"));
}

// Other languages choose other widths for the same number.
TEST(Frames, TakeNumbersOfAnyWidth) {
  for (const char* four : {"04", "cc04", "cd0004", "ce00000004", "cf0000000000000004", "d004", "d10004",
                           "d200000004", "d30000000000000004"}) {
    const auto message = decode(head_of(20), testing::from_hex("93" + std::string(four) + "0000"), "");
    ASSERT_TRUE(message) << four << ": " << message.error().text;
    EXPECT_EQ(*message, Message(Ready{4, 0, 0}));
  }
  for (const char* negative : {"ff", "d0ff", "d1ffff", "d2ffffffff", "d3ffffffffffffffff"}) {
    const auto message = decode(head_of(20), testing::from_hex("93" + std::string(negative) + "0000"), "");
    ASSERT_FALSE(message);
    EXPECT_THAT(message.error().text, HasSubstr("from 0 to 4294967295, found the number -1"));
  }
}

TEST(Frames, SurviveRandomDamage) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 5000; ++i) {
    Frames frames = encode(random_message(random));
    for (uint64_t n = 1 + random() % 4; n > 0; --n) {
      if (frames.envelope.empty()) break;
      frames.envelope[random() % frames.envelope.size()] = static_cast<char>(random());
    }
    const auto message = decode(frames);
    if (!message) {
      ASSERT_FALSE(message.error().text.empty());
    }
  }
}

}  // namespace
}  // namespace tandem
