#include "tests/worker/tasks/support.h"

namespace tandem {
namespace {

using namespace tandem::testing;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(TaskFile, OfTheFewestWordsHasADefaultForEverythingElse) {
  const Task task = parsed(kEcho);
  EXPECT_EQ(task.name, "task");
  EXPECT_EQ(task.answer, AnswerKind::kText);
  EXPECT_EQ(task.tokens_max, 128u);
  EXPECT_EQ(task.input_tokens_max, 1024u);
  EXPECT_EQ(task.too_long, TooLong::kError);
  EXPECT_EQ(task.sampler.temperature, 0);
  EXPECT_TRUE(task.cache_exact);
  EXPECT_EQ(task.cache_ttl.count(), 0);
  EXPECT_EQ(task.fingerprint.size(), 32u);
}

TEST(TaskFile, SaysEverything) {
  const Task task = parsed(R"toml(
version = 7
description = "all of it"
[prompt]
system = "Into {target}, {words} words."
user = "Text: {text}"
history_turns_max = 4
examples = [{ user = "hello", assistant = "bonjour" }]
[variables]
target = { default = "French", choices = ["French", "German"] }
words = { type = "integer", min = 1, max = 9, default = 5 }
[input]
tokens_max = 77
too_long = "cut_head"
[answer]
kind = "label"
method = "generate"
margin_min = 0.25
labels = [{ id = "a", say = "A", display = "(a)", aliases = ["eh"] }, { id = "b", say = "B" }]
[decode]
tokens_max = 5
stop = ["\n", "。"]
temperature = 0.5
top_k = 20
top_p = 0.75
min_p = 0.0625
repetition_penalty = 1.25
no_repeat_ngram = 3
seed = 11
[cache]
exact = false
ttl_s = 60
)toml");
  EXPECT_EQ(task.version, 7u);
  EXPECT_EQ(task.description, "all of it");
  EXPECT_EQ(task.history_turns_max, 4u);
  ASSERT_EQ(task.examples.size(), 1u);
  EXPECT_EQ(task.examples[0].second, "bonjour");
  EXPECT_EQ(task.variables.at("words").default_value, "5");
  EXPECT_EQ(task.variables.at("target").choices.size(), 2u);
  EXPECT_EQ(task.input_tokens_max, 77u);
  EXPECT_EQ(task.too_long, TooLong::kCutHead);
  EXPECT_EQ(task.method, LabelMethod::kGenerate);
  EXPECT_EQ(task.margin_min, 0.25);
  ASSERT_EQ(task.labels.size(), 2u);
  EXPECT_EQ(task.labels[0].aliases, std::vector<std::string>{"eh"});
  EXPECT_EQ(task.labels[1].display, "B") << "what is not shown otherwise is shown as it is said";
  EXPECT_EQ(task.tokens_max, 5u);
  EXPECT_EQ(task.stop, (std::vector<std::string>{"\n", "。"}));
  EXPECT_EQ(task.sampler.top_k, 20u);
  EXPECT_EQ(task.sampler.min_p, 0.0625);
  EXPECT_EQ(task.sampler.no_repeat_ngram, 3u);
  EXPECT_EQ(task.sampler.seed, 11u);
  EXPECT_FALSE(task.cache_exact);
  EXPECT_EQ(task.cache_ttl, std::chrono::seconds(60));
}

// A person corrects a file once, not once for every mistake in it.
TEST(TaskFile, TellsAllItsMistakesAtOnceWithTheirLines) {
  const std::string text = mistakes(R"(version = 0
[prompt]
sistem = "x"
user = "{txt}"
[input]
too_long = "cut_tale"
[answer]
kind = "text"
[decode]
tokens_max = -3
stop = [""]
temperature = "hot"
)");
  EXPECT_THAT(text, HasSubstr("task.toml:1: version: expected a whole number from 1"));
  EXPECT_THAT(text, HasSubstr("task.toml:3: unknown key 'prompt.sistem', did you mean 'system'?"));
  EXPECT_THAT(text, HasSubstr("task.toml:4: prompt.user: expected {text} or a variable of [variables], found "
                              "{txt}, did you mean {text}?"));
  EXPECT_THAT(text, HasSubstr("task.toml:6: input.too_long: expected one of error, cut_head, cut_tail, "
                              "cut_middle, split, found 'cut_tale'"));
  EXPECT_THAT(text, HasSubstr("task.toml:10: decode.tokens_max: expected a whole number from 1 to 4096, "
                              "found -3"));
  EXPECT_THAT(text,
              HasSubstr("task.toml:11: decode.stop: expected strings of 1 to 256 bytes, found one of 0"));
  EXPECT_THAT(text, HasSubstr("task.toml:12: decode.temperature: expected a number"));
}

TEST(TaskFile, NeedsAVersionAPromptAndAnAnswer) {
  EXPECT_THAT(mistakes("description = \"x\"\n"),
              AllOf(HasSubstr("version: expected a value"), HasSubstr("prompt: expected a value"),
                    HasSubstr("answer: expected a value")));
  EXPECT_THAT(mistakes("version = [\n"), HasSubstr("task.toml:"));
}

TEST(TaskFile, IsNamedInSmallLettersDigitsAndDashes) {
  EXPECT_EQ(mistakes(kEcho, "my-task_2"), "");
  for (const char* name : {"Reply", "a b", "回复", "a.b", "../x", ""}) {
    EXPECT_THAT(mistakes(kEcho, name), HasSubstr("expected a file name of a-z")) << name;
  }
}

std::string with_labels(const std::string& labels, const std::string& more = "") {
  return "version = 1\n[prompt]\nuser = \"{text}\"\n[answer]\nkind = \"label\"\n" + more + "labels = [" +
         labels + "]\n";
}

TEST(TaskFile, TellsItsLabelsApart) {
  const std::string good = R"({ id = "a", say = "A" }, { id = "b", say = "B" })";
  EXPECT_EQ(mistakes(with_labels(good)), "");
  EXPECT_THAT(mistakes(with_labels("")), HasSubstr("expected 2 to 256 labels, found 0"));
  EXPECT_THAT(mistakes(with_labels(R"({ id = "a", say = "A" })")), HasSubstr("found 1"));
  EXPECT_THAT(mistakes(with_labels(R"({ id = "a", say = "A" }, { id = "a", say = "B" })")),
              HasSubstr("labels[1].id: expected every label once, found 'a' again"));
  EXPECT_THAT(mistakes(with_labels(R"({ id = "a" }, { id = "b", say = "B" })")),
              HasSubstr("labels[0].say: expected a value"));
  EXPECT_THAT(mistakes(with_labels(R"({ id = "a", say = "" }, { id = "b", say = "B" })")),
              HasSubstr("expected a text of 1 to"));
  EXPECT_THAT(mistakes(with_labels(R"({ id = "a", say = " A" }, { id = "b", say = "B" })")),
              HasSubstr("expected no white space at its ends"));
}

// One spelling for two labels: which of them was meant could only be guessed.
TEST(TaskFile, TakesNoSpellingForTwoLabels) {
  EXPECT_THAT(mistakes(with_labels(R"({ id = "a", say = "Yes" }, { id = "b", say = "ＹＥＳ" })")),
              HasSubstr("also means 'a'"));
  EXPECT_THAT(mistakes(with_labels(R"({ id = "a", say = "A" }, { id = "b", say = "B", aliases = ["a"] })")),
              HasSubstr("labels[1].aliases"));
}

TEST(TaskFile, HasLabelsForLabelsOnly) {
  EXPECT_THAT(
      mistakes(std::string(kEcho) + R"(labels = [{ id = "a", say = "A" }, { id = "b", say = "B" }])"),
      AllOf(HasSubstr("answer.labels: expected with kind = \"label\" only"), Not(HasSubstr("unknown"))));
  EXPECT_THAT(mistakes(std::string(kEcho) + "margin_min = 0.5\n"),
              HasSubstr("answer.margin_min: expected with"));
}

TEST(TaskFile, HasNoStopStringInsideAGeneratedLabel) {
  const std::string labels = R"({ id = "a", say = "A.1" }, { id = "b", say = "B" })";
  const std::string stop = "[decode]\nstop = [\".\"]\n";
  EXPECT_EQ(mistakes(with_labels(labels) + stop), "") << "a scored label is not generated";
  EXPECT_THAT(mistakes(with_labels(labels, "method = \"generate\"\n") + stop), HasSubstr("would cut 'A.1'"));
}

TEST(TaskFile, PutsTheTextIntoTheUsersPartExactlyOnce) {
  const auto with_prompt = [](const std::string& prompt) {
    return "version = 1\n[prompt]\n" + prompt + "\n[answer]\nkind = \"text\"\n";
  };
  EXPECT_THAT(mistakes(with_prompt("user = \"hello\"")), HasSubstr("expected {text} once, found it 0 times"));
  EXPECT_THAT(mistakes(with_prompt("user = \"{text} {text}\"")), HasSubstr("found it 2 times"));
  EXPECT_THAT(mistakes(with_prompt("user = \"{text}\"\nsystem = \"about {text}\"")),
              HasSubstr("prompt.system: expected {text} in 'user' only"));
  EXPECT_THAT(mistakes(with_prompt("user = \"{text\"")), HasSubstr("prompt.user: expected '}'"));
}

TEST(TaskFile, DeclaresTheVariablesThatItUsesAndUsesThoseItDeclares) {
  const auto with_variables = [](const std::string& variables) {
    return "version = 1\n[prompt]\nuser = \"{text}\"\nsystem = \"{target}\"\n[answer]\nkind = "
           "\"text\"\n[variables]\n" +
           variables;
  };
  EXPECT_EQ(mistakes(with_variables("target = {}")), "");
  EXPECT_THAT(mistakes(with_variables("traget = {}")),
              AllOf(HasSubstr("found {target}, did you mean {traget}?"),
                    HasSubstr("variables.traget: expected {traget} in a template, found none")));
  EXPECT_THAT(mistakes(with_variables("target = { default = \"abc\", chars_max = 2 }")),
              HasSubstr("variables.target.default: expected at most 2 characters, found 3"));
  EXPECT_THAT(mistakes(with_variables("target = { default = \"x\", choices = [\"a\", \"b\"] }")),
              HasSubstr("expected one of a, b, found 'x'"));
  EXPECT_THAT(mistakes(with_variables("target = { type = \"integer\", default = 5, max = 4 }")),
              HasSubstr("expected a whole number of at most 4, found '5'"));
  EXPECT_THAT(mistakes(with_variables("target = { type = \"number\" }")),
              HasSubstr("expected one of string, integer, found 'number'"));
  EXPECT_THAT(mistakes(with_variables("target = {}\ntext = {}")), HasSubstr("that is not 'text'"));
}

// A cached answer is found under the task's fingerprint, so what changes an answer must change it.
TEST(TaskFingerprint, ChangesWithEverythingThatChangesAnAnswer) {
  Task base = parsed(R"(version = 1
[prompt]
system = "s {v}"
user = "{text}"
examples = [{ user = "u", assistant = "a" }]
[variables]
v = { default = "d" }
[answer]
kind = "label"
labels = [{ id = "a", say = "A", aliases = ["x"] }, { id = "b", say = "B" }]
[decode]
stop = ["\n"]
)");
  const std::vector<std::pair<const char*, std::function<void(Task&)>>> changes = {
      {"name", [](Task& t) { t.name = "other"; }},
      {"version", [](Task& t) { t.version = 2; }},
      {"system", [](Task& t) { t.system += " "; }},
      {"user", [](Task& t) { t.user += "!"; }},
      {"example", [](Task& t) { t.examples[0].second = "b"; }},
      {"one more example",
       [](Task& t) {
         t.examples.push_back({"", ""});
       }},
      {"history", [](Task& t) { t.history_turns_max = 1; }},
      {"variable name", [](Task& t) { t.variables["w"] = t.variables["v"]; }},
      {"default", [](Task& t) { t.variables["v"].default_value = "e"; }},
      {"no default", [](Task& t) { t.variables["v"].default_value.reset(); }},
      {"choices", [](Task& t) { t.variables["v"].choices = {"d"}; }},
      {"input", [](Task& t) { t.input_tokens_max = 1; }},
      {"input characters", [](Task& t) { t.input_chars_max = 1; }},
      {"too_long", [](Task& t) { t.too_long = TooLong::kCutTail; }},
      {"kind", [](Task& t) { t.answer = AnswerKind::kText; }},
      {"method", [](Task& t) { t.method = LabelMethod::kGenerate; }},
      {"label id", [](Task& t) { t.labels[0].id = "c"; }},
      {"label say", [](Task& t) { t.labels[0].say = "C"; }},
      {"display", [](Task& t) { t.labels[0].display = "C"; }},
      {"alias moves", [](Task& t) { std::swap(t.labels[0].aliases, t.labels[1].aliases); }},
      {"margin", [](Task& t) { t.margin_min = 0.1; }},
      {"tokens_max", [](Task& t) { t.tokens_max = 11; }},
      {"stop", [](Task& t) { t.stop = {"."}; }},
      {"temperature", [](Task& t) { t.sampler.temperature = 1; }},
      {"top_k", [](Task& t) { t.sampler.top_k = 1; }},
      {"top_p", [](Task& t) { t.sampler.top_p = 0.5; }},
      {"min_p", [](Task& t) { t.sampler.min_p = 0.5; }},
      {"repetition", [](Task& t) { t.sampler.repetition_penalty = 2; }},
      {"ngram", [](Task& t) { t.sampler.no_repeat_ngram = 2; }},
      {"seed", [](Task& t) { t.sampler.seed = 2; }},
  };
  std::map<std::string, std::string> seen{{task_fingerprint(base), "nothing"}};
  for (const auto& [what, change] : changes) {
    Task changed = base;
    change(changed);
    const auto [other, is_new] = seen.emplace(task_fingerprint(changed), what);
    EXPECT_TRUE(is_new) << what << " changed gives the fingerprint of " << other->second << " changed";
  }
}

TEST(TaskFingerprint, StaysWithWhatChangesNoAnswer) {
  const Task base = parsed(kEcho);
  const Task other =
      parsed("description = \"words\"\n" + std::string(kEcho) + "[cache]\nexact = false\nttl_s = 5\n");
  EXPECT_EQ(base.fingerprint, other.fingerprint);
}

}  // namespace
}  // namespace tandem
