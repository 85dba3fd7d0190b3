#include "shared/config/toml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tandem {
namespace {

using ::testing::ElementsAre;

TomlDocument parse(std::string_view text) {
  auto document = TomlDocument::parse(text, "task.toml");
  EXPECT_TRUE(document) << document.error().text;
  return std::move(*document);
}

std::string error_of(TomlDocument& document) {
  const auto finished = document.finish();
  return finished ? "" : finished.error().text;
}

constexpr std::string_view kTask = R"(version = 2
description = "a task"
ratio = 0.5
strict = true

[answer]
kind = "label"
labels = [
  { id = "yes", say = "Yes" },
  { id = "no", say = "No" },
]

[decode]
stop = ["\n", "。"]
)";

TEST(Toml, IsReadByKeyAndType) {
  TomlDocument document = parse(kTask);
  TomlTable root = document.root();
  uint32_t version = 0;
  std::string description;
  double ratio = 0;
  bool strict = false;
  EXPECT_TRUE(root.read("version", version, {1, 10}));
  EXPECT_TRUE(root.read("description", description));
  EXPECT_TRUE(root.read("ratio", ratio, {0, 1}));
  EXPECT_TRUE(root.read("strict", strict));
  EXPECT_EQ(version, 2u);
  EXPECT_EQ(description, "a task");
  EXPECT_EQ(ratio, 0.5);
  EXPECT_TRUE(strict);

  auto answer = root.table("answer");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->place(), "task.toml:6");
  std::string kind;
  EXPECT_TRUE(answer->read("kind", kind));
  std::vector<std::string> ids, says;
  for (TomlTable& label : answer->tables("labels")) {
    EXPECT_TRUE(label.read("id", ids.emplace_back()));
    EXPECT_TRUE(label.read("say", says.emplace_back()));
  }
  EXPECT_THAT(ids, ElementsAre("yes", "no"));

  auto decode = root.table("decode");
  ASSERT_TRUE(decode);
  std::vector<std::string> stop;
  EXPECT_TRUE(decode->read("stop", stop));
  EXPECT_THAT(stop, ElementsAre("\n", "。"));
  EXPECT_EQ(error_of(document), "");
}

TEST(Toml, LeavesAloneWhatIsAbsent) {
  TomlDocument document = parse("");
  TomlTable root = document.root();
  int n = 5;
  EXPECT_FALSE(root.read("n", n));
  EXPECT_EQ(n, 5);
  EXPECT_FALSE(root.has("n"));
  EXPECT_FALSE(root.table("t"));
  EXPECT_TRUE(root.tables("ts").empty());
  EXPECT_EQ(error_of(document), "");
}

TEST(Toml, ReportsAllMistakesAtOnceInTheOrderOfTheFile) {
  TomlDocument document = parse(R"(version = "two"
ratio = 1.5
tokens_max = -1
descripton = "oops"
[answer]
labels = [ { id = 5 }, "no" ]
[other]
x = 1
y = 2
)");
  TomlTable root = document.root();
  uint32_t version = 1, tokens_max = 1;
  double ratio = 0;
  std::string text;
  EXPECT_FALSE(root.read("tokens_max", tokens_max, {1, 100}));
  EXPECT_FALSE(root.read("version", version));
  EXPECT_FALSE(root.read("ratio", ratio, {0, 1}));
  EXPECT_FALSE(root.read("description", text));
  root.need("kind");
  for (TomlTable& label : root.table("answer")->tables("labels")) label.read("id", text);
  EXPECT_EQ(error_of(document),
            "task.toml:1: version: expected a whole number from 0 to 4294967295, found the text 'two'\n"
            "task.toml:1: kind: expected a value, found none\n"
            "task.toml:2: ratio: expected a number from 0 to 1, found 1.5\n"
            "task.toml:3: tokens_max: expected a whole number from 1 to 100, found -1\n"
            "task.toml:4: unknown key 'descripton', did you mean 'description'?\n"
            "task.toml:6: answer.labels[1]: expected a table, found the text 'no'\n"
            "task.toml:6: answer.labels[0].id: expected a text in quotes, found 5\n"
            "task.toml:7: unknown section 'other'");
}

TEST(Toml, TakesProblemsThatOnlyTheReaderSees) {
  TomlDocument document = parse("a = 1\n[t]\nb = 2\n");
  TomlTable root = document.root();
  int n = 0;
  root.read("a", n);
  auto table = root.table("t");
  table->read("b", n);
  table->problem("b", "expected an odd number, found 2");
  table->problem("c", "expected a c, found none");
  EXPECT_EQ(error_of(document),
            "task.toml:2: t.c: expected a c, found none\n"
            "task.toml:3: t.b: expected an odd number, found 2");
}

TEST(Toml, TellsEveryTypeFromEveryOther) {
  const std::vector<std::pair<std::string, std::string>> values = {
      {"text", "\"x\""},   {"integer", "1"}, {"real", "1.5"},       {"bool", "true"},
      {"list", "[\"x\"]"}, {"table", "{}"},  {"date", "2024-01-01"}};
  for (const auto& [type, value] : values) {
    const auto reads = [&, &written = value](auto read) {
      TomlDocument document = parse("v = " + written);
      const bool good = read(document.root());
      EXPECT_EQ(error_of(document).empty(), good);
      return good;
    };
    std::string text;
    int integer = 0;
    double real = 0;
    bool flag = false;
    std::vector<std::string> list;
    EXPECT_EQ(reads([&](TomlTable root) { return root.read("v", text); }), type == "text");
    EXPECT_EQ(reads([&](TomlTable root) { return root.read("v", integer); }), type == "integer");
    EXPECT_EQ(reads([&](TomlTable root) { return root.read("v", real); }),
              type == "real" || type == "integer");
    EXPECT_EQ(reads([&](TomlTable root) { return root.read("v", flag); }), type == "bool");
    EXPECT_EQ(reads([&](TomlTable root) { return root.read("v", list); }), type == "list");
    EXPECT_EQ(reads([&](TomlTable root) { return root.table("v").has_value(); }), type == "table");
  }
}

TEST(Toml, RefusesWhatIsNoTomlWithItsPlace) {
  const auto broken = TomlDocument::parse("a = 1\nb = \n", "x.toml");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(broken.error().text, ::testing::StartsWith("x.toml:2:"));
  const auto twice = TomlDocument::parse("a = 1\na = 2\n", "x.toml");
  ASSERT_FALSE(twice);
  EXPECT_THAT(twice.error().text, ::testing::StartsWith("x.toml:2:"));
  EXPECT_FALSE(TomlDocument::parse("a = \"\xff\"", "x.toml"));
  EXPECT_FALSE(TomlDocument::parse(std::string_view("a = 1\0", 6), "x.toml"));
}

TEST(Toml, SurvivesNestingWithoutEnd) {
  EXPECT_FALSE(TomlDocument::parse("a = " + std::string(100000, '['), "x.toml"));
}

TEST(Toml, NamesAFileThatIsMissing) {
  const auto document = TomlDocument::open("/nowhere/at/all.toml");
  ASSERT_FALSE(document);
  EXPECT_EQ(document.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(document.error().text, ::testing::HasSubstr("/nowhere/at/all.toml"));
}

TEST(ClosestWord, IsOneThatIsCloseOrNone) {
  const std::vector<std::string> words = {"lease_ms", "journal", "submit"};
  EXPECT_EQ(closest_word("lease", words), "");
  EXPECT_EQ(closest_word("leese_ms", words), "lease_ms");
  EXPECT_EQ(closest_word("jurnal", words), "journal");
  EXPECT_EQ(closest_word("subimt", words), "submit");
  EXPECT_EQ(closest_word("x", words), "");
  EXPECT_EQ(closest_word("", words), "");
  EXPECT_EQ(closest_word("submit", {}), "");
}

}  // namespace
}  // namespace tandem
