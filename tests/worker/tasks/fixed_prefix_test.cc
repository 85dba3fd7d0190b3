#include "worker/tasks/fixed_prefix.h"

#include "shared/protocol/job.h"
#include "tests/worker/tasks/support.h"
#include "worker/tasks/prompt.h"

namespace tandem {
namespace {

using namespace tandem::testing;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

engine::Tokens prefix_of(const Task& task, size_t tokens_max = 4000) {
  return fixed_prefix(task, tiny_tokenizer(), plain_chat(), tokens_max);
}
std::string text_of(const engine::Tokens& tokens) {
  return tiny_tokenizer().decode(tokens, false);
}

Task task_with(const std::string& prompt, const std::string& more = "") {
  return parsed("version = 1\n[prompt]\n" + prompt + "\n" + more + "\n[answer]\nkind = \"text\"\n");
}

TEST(FixedPrefix, IsAllInFrontOfTheText) {
  const Task task = task_with("system = \"You are kind.\"\nuser = \"Say: {text} now\"");
  EXPECT_EQ(text_of(prefix_of(task)).substr(0, 42), "<|im_start|>system\nYou are kind.<|im_end|>");
  EXPECT_THAT(text_of(prefix_of(task)), AllOf(HasSubstr("<|im_start|>user\nSay:"), Not(HasSubstr("now"))));
}

// The border is one of tokens: in front of some texts, the space belongs to the text's first token.
TEST(FixedPrefix, EndsWhereTextsBeginToChangeTheTokens) {
  const Task task = task_with("system = \"s\"\nuser = \"Say: {text}\"");
  const engine::Tokens prefix = prefix_of(task);
  for (const char* text : {"hello", "42", "!", "今天", "\"quoted\"", "éa", "'s", "…"}) {
    JobRequest request;
    request.text = text;
    request.tasks = {"task"};
    const auto prompt = make_prompt(task, request, tiny_tokenizer(), plain_chat(), 4000);
    ASSERT_TRUE(prompt);
    ASSERT_GT(prompt->tokens.size(), prefix.size());
    EXPECT_TRUE(std::equal(prefix.begin(), prefix.end(), prompt->tokens.begin())) << text;
  }
}

TEST(FixedPrefix, TakesExamplesAndDefaultsIn) {
  const Task task = task_with(
      "system = \"in {style}\"\nuser = \"{text}\"\nexamples = [{ user = \"x\", assistant = \"y\" }]",
      "[variables]\nstyle = { default = \"plain words\" }");
  EXPECT_THAT(text_of(prefix_of(task)),
              AllOf(HasSubstr("in plain words"), HasSubstr("assistant\ny<|im_end|>\n<|im_start|>user")));
}

TEST(FixedPrefix, EndsAtAVariableThatTheJobMustGive) {
  for (const char* variable :
       {"n = { type = \"integer\", min = 1, max = 9 }", "n = {}", "n = { choices = [\"one\", \"two\"] }"}) {
    const Task task = task_with("system = \"Give number {n} here\"\nuser = \"{text}\"",
                                std::string("[variables]\n") + variable);
    EXPECT_THAT(text_of(prefix_of(task)), AllOf(HasSubstr("Give number"), Not(HasSubstr("here"))))
        << variable;
  }
}

TEST(FixedPrefix, IsEmptyWhereNoPromptFits) {
  EXPECT_TRUE(prefix_of(task_with("system = \"s\"\nuser = \"{text}\""), 10).empty());
}

}  // namespace
}  // namespace tandem
