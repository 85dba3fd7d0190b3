#include "worker/engine/tokenizer/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/tokenizer/golden.h"

namespace tandem::engine {
namespace {

using ::testing::HasSubstr;

const nlohmann::ordered_json& golden_chat() {
  static const auto value = golden::read_ordered_json("data/golden/golden/chat.json");
  return value;
}
std::string jinja(const std::string& name) {
  return golden_chat()["templates"][name];
}

TEST(ChatTemplateTest, WritesWhatTheOfficialTemplatesWrite) {
  size_t n_cases = 0, n_with_tools = 0;
  for (const auto& c : golden_chat()["cases"]) {
    const auto chat = ChatTemplate::recognise(jinja(c["template"]));
    ASSERT_TRUE(chat) << chat.error().text;
    const auto [messages, tools] = golden::chat_of(c);
    EXPECT_EQ(to_text(chat->render(messages, c["add_generation_prompt"], tools)),
              c["text"].get<std::string>())
        << c["case"];
    ++n_cases;
    n_with_tools += tools.empty() ? 0 : 1;
  }
  EXPECT_EQ(n_cases, 69u);
  EXPECT_EQ(n_with_tools, 6u);
}

TEST(ChatTemplateTest, WritesCallsAndAnswersInARow) {
  const auto chat = ChatTemplate::recognise(jinja("qwen3_2507"));
  ASSERT_TRUE(chat);
  EXPECT_TRUE(chat->supports_tools());
  const std::vector<ChatMessage> messages = {{"user", "Both?"},
                                             {"assistant", "Sure.", {{"f", "{}"}, {"g", "{\"a\": 1}"}}},
                                             {"tool", "1"},
                                             {"tool", "<|im_end|>"}};
  EXPECT_EQ(to_text(chat->render(messages, false)),
            "<|im_start|>user\nBoth?<|im_end|>\n"
            "<|im_start|>assistant\nSure.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>\n"
            "<tool_call>\n{\"name\": \"g\", \"arguments\": {\"a\": 1}}\n</tool_call><|im_end|>\n"
            "<|im_start|>user\n<tool_response>\n1\n</tool_response>\n<tool_response>\n<|im_end|>\n"
            "</tool_response><|im_end|>\n");
}

// Qwen1.5 was not taught tools; its template writes the roles down and knows of no calls.
TEST(ChatTemplateTest, ATemplateWithoutToolsPassesThemOver) {
  const auto chat = ChatTemplate::recognise(jinja("qwen1_5"));
  ASSERT_TRUE(chat);
  EXPECT_FALSE(chat->supports_tools());
  const std::vector<std::string> tools = {"{}"};
  EXPECT_EQ(to_text(chat->render(std::vector<ChatMessage>{{"system", "s"}, {"tool", "t"}}, false, tools)),
            "<|im_start|>system\ns<|im_end|>\n<|im_start|>tool\nt<|im_end|>\n");
}

TEST(ChatTemplateTest, AChangedWordingOfToolsIsNotTakenForTheOfficialOne) {
  std::string changed = jinja("qwen3_2507");
  changed.replace(changed.find("# Tools"), 7, "# Tool!");
  const auto chat = ChatTemplate::recognise(changed);
  ASSERT_TRUE(chat) << chat.error().text;
  EXPECT_FALSE(chat->supports_tools());
}

TEST(ChatTemplateTest, WritesJsonAsTheTemplatesDo) {
  const auto written = [](std::string_view json) { return to_template_json(json).value_or("not JSON"); };
  EXPECT_EQ(written("{\"b\" :[1,2.5, null],\n\"a\":{}}"), "{\"b\": [1, 2.5, null], \"a\": {}}");
  EXPECT_EQ(written("\"\\u00e9<&>\\n\""), "\"\u00e9<&>\\n\"");
  EXPECT_EQ(written("{"), "not JSON");
  EXPECT_EQ(written(std::string(1000, '[') + std::string(1000, ']')), "not JSON");
  EXPECT_EQ(to_template_json("{").error().code, ErrorCode::kInvalid);
}

TEST(ChatTemplateTest, KeepsTextsAndRolesOfUsersPlain) {
  const auto pieces =
      ChatTemplate("").render(std::vector<ChatMessage>{{"user<|im_end|>", "<|im_end|>"}}, false);
  size_t n_special = 0;
  for (const PromptPiece& piece : pieces) n_special += piece.kind == PromptPiece::Kind::kSpecial;
  EXPECT_EQ(n_special, 2u);
}

TEST(ChatTemplateTest, ReadsTheTemplateOfAFolder) {
  const std::vector<ChatMessage> question = {{"user", "hi"}};
  const auto qwen2 = ChatTemplate::load("data/golden/models/qwen2-tiny-f32");
  ASSERT_TRUE(qwen2) << qwen2.error().text;
  EXPECT_THAT(to_text(qwen2->render(question, true)),
              HasSubstr("system\nYou are a helpful assistant<|im_end|>"));
  const auto qwen3 = ChatTemplate::load("data/golden/models/qwen3-tiny");
  ASSERT_TRUE(qwen3) << qwen3.error().text;
  EXPECT_EQ(to_text(qwen3->render(question, true)),
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplateTest, TakesTheDefaultSystemMessageFromTheTemplate) {
  std::string qwen2 = jinja("qwen1_5");
  const std::string text = "You are a helpful assistant";
  qwen2.replace(qwen2.find(text), text.size(), "You are a helpful assistant.");
  const auto chat = ChatTemplate::recognise(qwen2 + "\n");
  ASSERT_TRUE(chat) << chat.error().text;
  EXPECT_EQ(to_text(chat->render(std::vector<ChatMessage>{{"user", "hi"}}, false)),
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n");
}

// The frame of Qwen2.5's template; what it does with tools is left out.
TEST(ChatTemplateTest, KnowsTheFrameOfQwen25) {
  const auto chat = ChatTemplate::recognise(R"({%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.' }}
    {%- endif %}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
    {%- else %}
        {{- '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
)");
  ASSERT_TRUE(chat) << chat.error().text;
  EXPECT_EQ(
      to_text(chat->render(std::vector<ChatMessage>{{"user", "hi"}}, true)),
      "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
      "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplateTest, RefusesATemplateItDoesNotKnow) {
  std::string trimming = jinja("qwen3_2507");
  trimming.replace(trimming.find("message.content %}"), 15, "message.content|trim");
  std::string thinking = jinja("qwen3_2507");
  const std::string prompt = "{{- '<|im_start|>assistant\\n' }}";
  thinking.replace(thinking.find(prompt), prompt.size(), "{{- '<|im_start|>assistant\\n<think>\\n' }}");
  for (const std::string& unknown : {std::string("{{ messages }}"), trimming, thinking,
                                     jinja("qwen1_5") + "{{ more }}", std::string("x")}) {
    const auto chat = ChatTemplate::recognise(unknown);
    ASSERT_FALSE(chat) << unknown;
    EXPECT_EQ(chat.error().code, ErrorCode::kUnsupported);
    EXPECT_THAT(chat.error().text, HasSubstr("expected that of Qwen1.5"));
  }
}

class ChatTemplateFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("tandem-chat-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& name, const std::string& text) { std::ofstream(folder_ / name) << text; }
  std::filesystem::path folder_;
};

TEST_F(ChatTemplateFolderTest, FallsBackToQwen15WithoutAnyTemplate) {
  const std::vector<ChatMessage> question = {{"user", "hi"}};
  const auto none = ChatTemplate::load(folder_);
  ASSERT_TRUE(none);
  EXPECT_THAT(to_text(none->render(question, true)), HasSubstr("You are a helpful assistant<|im_end|>"));
  write("tokenizer_config.json", R"({"chat_template": null})");
  EXPECT_TRUE(ChatTemplate::load(folder_));
}

TEST_F(ChatTemplateFolderTest, FindsTheTemplateWhereverFoldersKeepIt) {
  const std::vector<ChatMessage> question = {{"user", "hi"}};
  const std::string plain = "<|im_start|>user\nhi<|im_end|>\n";
  write("tokenizer_config.json",
        nlohmann::json{{"chat_template", {{{"name", "default"}, {"template", jinja("qwen3_2507")}}}}}.dump());
  const auto listed = ChatTemplate::load(folder_);
  ASSERT_TRUE(listed) << listed.error().text;
  EXPECT_EQ(to_text(listed->render(question, false)), plain);

  write("tokenizer_config.json", "{}");
  write("chat_template.jinja", jinja("qwen3_2507"));
  const auto beside = ChatTemplate::load(folder_);
  ASSERT_TRUE(beside) << beside.error().text;
  EXPECT_EQ(to_text(beside->render(question, false)), plain);
}

TEST_F(ChatTemplateFolderTest, NamesTheFolderOfADamagedConfig) {
  write("tokenizer_config.json", "{\"chat_template\": ");
  const auto damaged = ChatTemplate::load(folder_);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(damaged.error().text, HasSubstr("tokenizer_config.json"));
  write("tokenizer_config.json", R"({"chat_template": "{{ other }}"})");
  EXPECT_THAT(ChatTemplate::load(folder_).error().text, HasSubstr(folder_.string()));
}

}  // namespace
}  // namespace tandem::engine
