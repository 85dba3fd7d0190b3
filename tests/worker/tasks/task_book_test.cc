#include <fstream>

#include "shared/protocol/job.h"
#include "tests/support/temp_dir.h"
#include "tests/worker/tasks/support.h"
#include "worker/tasks/answer.h"
#include "worker/tasks/prompt.h"

namespace tandem {
namespace {

using namespace tandem::testing;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

constexpr const char* kShipped = "../configs/tasks";

void write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path) << text;
}

TEST(TaskBook, HasAllShippedTasks) {
  const auto book = TaskBook::load(kShipped);
  ASSERT_TRUE(book) << book.error().text;
  std::vector<std::string> names;
  for (const auto& [name, task] : (*book)->tasks()) {
    names.push_back(name);
    EXPECT_FALSE(task.description.empty()) << name << ": `tandem` lists tasks with their description";
    EXPECT_TRUE(task.cache_exact) << name;
  }
  EXPECT_THAT(names, ElementsAre("grammar", "intent", "keywords", "reply", "sentiment", "sentiment-zh",
                                 "sentiment3", "short-reply", "summary", "translate"));
}

// The limits that the mission gives them: a word, a short sentence, a chat answer.
TEST(TaskBook, HoldsTheShippedTasksToTheirLengths) {
  const auto book = TaskBook::load(kShipped);
  ASSERT_TRUE(book) << book.error().text;
  for (const char* name : {"sentiment", "sentiment-zh", "sentiment3", "intent"}) {
    const Task& task = **(*book)->find(name);
    EXPECT_EQ(task.tokens_max, 10u) << name;
    EXPECT_EQ(task.stop, (std::vector<std::string>{"\n", ".", "。"})) << name;
    EXPECT_EQ(task.method, LabelMethod::kScore) << name;
  }
  EXPECT_EQ((*(*book)->find("short-reply"))->tokens_max, 32u);
  const Task& reply = **(*book)->find("reply");
  EXPECT_EQ(reply.tokens_max, 128u);
  EXPECT_EQ(reply.sampler.temperature, 0.7);
  EXPECT_EQ(reply.sampler.top_p, 0.9);
  EXPECT_GT(reply.history_turns_max, 0u);
}

TEST(TaskBook, HasShippedTasksThatRenderWithTheirDefaults) {
  const auto book = TaskBook::load(kShipped);
  ASSERT_TRUE(book) << book.error().text;
  const engine::TokenId end = *tiny_tokenizer().special_id("<|im_end|>");
  for (const auto& [name, task] : (*book)->tasks()) {
    JobRequest request;
    request.text = "今天天气不错，适合出去走走。 What a day!";
    request.tasks = {name};
    const auto prompt = make_prompt(task, request, tiny_tokenizer(), plain_chat(), 32768);
    ASSERT_TRUE(prompt) << name << ": " << prompt.error().text;
    const std::string text = tiny_tokenizer().decode(prompt->tokens, false);
    EXPECT_THAT(text, HasSubstr("<|im_start|>user\n" + request.text)) << name << ": the text comes first";
    EXPECT_THAT(text, EndsWith("<|im_end|>\n<|im_start|>assistant\n")) << name;
    EXPECT_THAT(text, HasSubstr("<|im_start|>system\n"));
    EXPECT_EQ(text.find('{'), std::string::npos) << text;
    EXPECT_TRUE(decode_settings(task, {}, prompt->tokens)) << name;
    if (task.answer == AnswerKind::kLabel) {
      EXPECT_TRUE(make_label_tree(task, tiny_tokenizer(), end)) << name;
    }
  }
}

// The first task that people write is the one that they copy from the description.
TEST(TaskBook, TakesTheExampleOfItsDescription) {
  std::ifstream file(std::string(kShipped) + "/README.md");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::string fence = "```toml\n";
  const size_t begin = text.find(fence);
  ASSERT_NE(begin, std::string::npos);
  const size_t from = begin + fence.size();
  const Task task = parsed(text.substr(from, text.find("```", from) - from), "urgency");
  EXPECT_EQ(task.labels.size(), 2u);
  EXPECT_EQ(task.examples.size(), 2u);
}

TEST(TaskBook, TellsTheMistakesOfAllFilesAtOnce) {
  TempDir folder;
  write(folder / "good.toml", kEcho);
  write(folder / "one.toml", "version = 1\n");
  write(folder / "two.toml", std::string(kEcho) + "[decoed]\n");
  write(folder / "three.toml", "version = \n");
  const auto book = TaskBook::load(folder.path());
  ASSERT_FALSE(book);
  EXPECT_EQ(book.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(book.error().text,
              AllOf(HasSubstr("one.toml:1: prompt: expected a value, found none"),
                    HasSubstr("two.toml:6: unknown section 'decoed', did you mean 'decode'?"),
                    HasSubstr("three.toml:1:"), ::testing::Not(HasSubstr("good.toml"))));
}

TEST(TaskBook, NeedsAFolderWithTasks) {
  TempDir folder;
  EXPECT_EQ(TaskBook::load(folder / "none").error().code, ErrorCode::kNotFound);
  EXPECT_THAT(TaskBook::load(folder.path()).error().text, HasSubstr("expected *.toml files, found none"));
  write(folder / "a.toml", kEcho);
  write(folder / "notes.txt", "not a task");
  const auto book = TaskBook::load(folder.path());
  ASSERT_TRUE(book) << book.error().text;
  EXPECT_EQ((*book)->tasks().size(), 1u);
}

TEST(TaskBook, NamesTheTasksThereAreWhenAskedForAnother) {
  const auto book = TaskBook::load(kShipped);
  ASSERT_TRUE(book) << book.error().text;
  ASSERT_TRUE((*book)->find("reply"));
  const auto none = (*book)->find("sentimant");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(none.error().text, AllOf(HasSubstr("grammar, intent"), HasSubstr("did you mean 'sentiment'?")));
}

}  // namespace
}  // namespace tandem
