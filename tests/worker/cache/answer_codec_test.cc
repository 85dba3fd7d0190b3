#include "worker/cache/answer_codec.h"

#include "tests/worker/cache/support.h"

namespace tandem {
namespace {

using namespace tandem::testing;

TaskResult label_answer() {
  TaskResult result = text_answer("");
  result.text.reset();
  result.label =
      LabelAnswer{"positive", "😄 正面", 0.75, 0.5, {{"positive", 0.75}, {"negative", 0.25}}, "why"};
  return result;
}

TEST(AnswerCodec, KeepsWhatIsOfTheAnswerAndNotWhatIsOfTheJob) {
  for (const TaskResult& answer : {text_answer("你好, world"), text_answer(""), label_answer()}) {
    TaskResult expected = answer;
    expected.timings = {};
    expected.batch_size = 0;
    const auto decoded = decode_answer(encode_answer(answer));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(*decoded, expected);
  }
}

TEST(AnswerCodec, HasTheBytesOfItsDescription) {
  TaskResult answer;
  answer.usage = {.prompt_tokens = 1, .cached_tokens = 2, .computed_tokens = 3, .completion_tokens = 0x0405};
  answer.task_version = 6;
  answer.pieces = 7;
  answer.task = "t";
  answer.text = TextAnswer{"hi", "stop"};
  const std::string expected(
      "t\1\0\0\0\2\0\0\0\3\0\0\0\5\4\0\0\6\0\0\0\7\0\0\0\1\0\0\0t\0\0\0\0\0\0\0\0\0\0\0\0\2\0\0\0hi"
      "\4\0\0\0stop",
      56);
  EXPECT_EQ(encode_answer(answer), expected);
}

TEST(AnswerCodec, GivesNothingForLessForMoreAndForSomethingElse) {
  for (const TaskResult& answer : {text_answer("hello"), label_answer()}) {
    const std::string good = encode_answer(answer);
    for (size_t size = 0; size < good.size(); ++size) {
      EXPECT_FALSE(decode_answer(good.substr(0, size))) << "cut to " << size;
    }
    EXPECT_FALSE(decode_answer(good + '\0'));
    EXPECT_FALSE(decode_answer('x' + good.substr(1)));
  }
}

// A checksum stands before it, so no such bytes come here but by a fault of ours; it must hold all the same.
TEST(AnswerCodec, ReadsNoFurtherThanItsBytesWhateverTheyAre) {
  const std::string good = encode_answer(label_answer());
  for (size_t at = 0; at < good.size(); ++at) {
    for (const char byte : {'\0', '\x7f', '\xff'}) {
      std::string bad = good;
      bad[at] = byte;
      const auto decoded = decode_answer(bad);
      if (decoded && decoded->label) {
        EXPECT_LE(decoded->label->scores.size(), 2u);
      }
    }
  }
}

}  // namespace
}  // namespace tandem
