// Task files that split long texts: what they say, and what is wrong with them.

#include <fstream>

#include "tests/support/temp_dir.h"
#include "tests/worker/tasks/support.h"

namespace tandem {
namespace {

using namespace tandem::testing;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string kSplit = std::string(kEcho) + "[input]\ntoo_long = \"split\"\n";
const std::string kLabels = R"(version = 1
[prompt]
user = "{text}"
[answer]
kind = "label"
labels = [{ id = "a", say = "A" }, { id = "b", say = "B" }]
)";

class SplitTasks : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& toml) {
    std::ofstream(folder_ / (name + ".toml")) << toml;
  }
  std::shared_ptr<const TaskBook> book() {
    auto book = TaskBook::load(folder_.path());
    EXPECT_TRUE(book) << book.error().text;
    return book ? *book : nullptr;
  }
  std::string wrong() {
    const auto book = TaskBook::load(folder_.path());
    return book ? "" : book.error().text;
  }
  TempDir folder_;
};

TEST(SplitTaskFile, SaysHowPiecesAreMadeAndJoined) {
  const Task task = parsed(kSplit + R"([split]
chars_max = 2000
tokens_max = 500
overlap_chars = 100
pieces_max = 50
map = "other"
reduce = "third"
)");
  ASSERT_TRUE(task.split);
  EXPECT_EQ(task.too_long, TooLong::kSplit);
  EXPECT_EQ(task.split->chars_max, 2000u);
  EXPECT_EQ(task.split->tokens_max, 500u);
  EXPECT_EQ(task.split->overlap_chars, 100u);
  EXPECT_EQ(task.split->pieces_max, 50u);
  EXPECT_EQ(task.split->map, "other");
  EXPECT_EQ(task.split->reduce, "third");

  const Task few = parsed(kSplit + "[split]\nreduce = \"task\"\n");
  EXPECT_EQ(few.split->chars_max, 10'000u);
  EXPECT_EQ(few.split->map, "task") << "the task itself";
  EXPECT_FALSE(parsed(kEcho).split);
}

TEST(SplitTaskFile, NeedsAReduceForWordsAndTakesTheMeanOfLabels) {
  EXPECT_THAT(mistakes(kSplit), HasSubstr("split: expected a section that says how the answers become one"));
  EXPECT_THAT(mistakes(kSplit + "[split]\nmap = \"other\"\n"), HasSubstr("split.reduce: expected a value"));
  const std::string labels = kLabels + "[input]\ntoo_long = \"split\"\n";
  EXPECT_EQ(parsed(labels).split->reduce, "");
  EXPECT_EQ(parsed(labels + "[split]\nreduce = \"mean\"\n").split->reduce, "");
  EXPECT_EQ(parsed(labels + "[split]\nreduce = \"task\"\n").split->reduce, "task");
  EXPECT_THAT(mistakes(labels + "[split]\nmap = \"other\"\n"),
              HasSubstr("split.map: expected none with reduce = \"mean\""));
}

TEST(SplitTaskFile, TellsItsMistakes) {
  EXPECT_THAT(mistakes(std::string(kEcho) + "[split]\nreduce = \"task\"\n"),
              HasSubstr("split: expected with input.too_long = \"split\" only"));
  EXPECT_THAT(
      mistakes(kSplit + "[split]\nreduce = \"task\"\nchars_max = 300\noverlap_chars = 300\n"),
      HasSubstr("task.toml:11: split.overlap_chars: expected at most half of chars_max, 300, found 300"));
  EXPECT_THAT(mistakes(kSplit + "[split]\nreduce = \"task\"\nchars_max = 3\npieces_max = 1\n"),
              AllOf(HasSubstr("split.chars_max: expected a whole number from 100"),
                    HasSubstr("split.pieces_max: expected a whole number from 2")));
  std::string with_history = kSplit + "[split]\nreduce = \"task\"\n";
  with_history.replace(with_history.find("user ="), 0, "history_turns_max = 2\n");
  EXPECT_THAT(mistakes(with_history), HasSubstr("history_turns_max: expected none"));
}

TEST_F(SplitTasks, NamesAreTasks) {
  write("plain", kEcho);
  write("long", kSplit + "[split]\nmap = \"plian\"\nreduce = \"nothing-like-it\"\n");
  EXPECT_THAT(
      wrong(),
      AllOf(HasSubstr("long.toml:8: split.map: expected a task, found 'plian', did you mean 'plain'?"),
            HasSubstr("split.reduce: expected a task, found 'nothing-like-it'")));
  write("long", kSplit + "[split]\nmap = \"plain\"\nreduce = \"long\"\n");
  EXPECT_EQ(wrong(), "");
}

TEST_F(SplitTasks, DoNotGoInCircles) {
  write("a", kSplit + "[split]\nmap = \"b\"\nreduce = \"a\"\n");
  write("b", kSplit + "[split]\nreduce = \"c\"\n");
  write("c", kSplit + "[split]\nreduce = \"a\"\n");
  EXPECT_THAT(wrong(),
              AllOf(HasSubstr("a.toml:8: split.map: expected no circle of tasks, found a -> b -> c -> a"),
                    HasSubstr("b.toml:8: split.reduce: "), HasSubstr("c.toml:8: split.reduce: ")));
  write("c", kSplit + "[split]\nreduce = \"c\"\n");
  EXPECT_EQ(wrong(), "") << "to ask itself is no circle";
}

TEST_F(SplitTasks, AreJoinedByATaskWithTheSameKindOfAnswer) {
  write("mood", kLabels);
  write("long", kSplit + "[split]\nreduce = \"mood\"\n");
  EXPECT_THAT(wrong(),
              HasSubstr("split.reduce: expected a task that answers with text as this one, found 'mood'"));
  write("long", kSplit + "[split]\nmap = \"mood\"\nreduce = \"long\"\n");
  EXPECT_EQ(wrong(), "") << "a text about labels";
}

TEST_F(SplitTasks, GiveTheirPartsNoVariableThatTheyNeed) {
  std::string needs = kEcho;
  needs.replace(needs.find("{text}"), 6, "{text} {style}");
  write("styled", needs + "[variables]\nstyle = {}\n");
  write("long", kSplit + "[split]\nmap = \"styled\"\nreduce = \"long\"\n");
  EXPECT_THAT(wrong(), HasSubstr("split.map: expected a task that needs no variable 'style'"));
}

// The answer for a long text is of all its tasks; that for a short one is of the task alone.
TEST_F(SplitTasks, HaveAFingerprintOfAllThatTheyUse) {
  const auto long_task = [&] { return **book()->find("long"); };
  write("plain", kEcho);
  write("long", kSplit + "[split]\nmap = \"plain\"\nreduce = \"long\"\n");
  const Task base = long_task();
  EXPECT_EQ(base.split->fingerprint.size(), 32u);

  write("plain", std::string(kEcho) + "[decode]\ntokens_max = 7\n");
  EXPECT_NE(long_task().split->fingerprint, base.split->fingerprint);
  EXPECT_EQ(long_task().fingerprint, base.fingerprint);
  write("plain", kEcho);
  EXPECT_EQ(long_task().split->fingerprint, base.split->fingerprint);
  write("long", kSplit + "[split]\nmap = \"plain\"\nreduce = \"plain\"\n");
  EXPECT_NE(long_task().split->fingerprint, base.split->fingerprint);
  write("long", kSplit + "[split]\nmap = \"plain\"\nreduce = \"long\"\noverlap_chars = 5\n");
  EXPECT_NE(long_task().split->fingerprint, base.split->fingerprint);
}

}  // namespace
}  // namespace tandem
