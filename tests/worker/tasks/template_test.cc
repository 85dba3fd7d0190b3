#include "worker/tasks/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tandem {
namespace {

using ::testing::HasSubstr;

std::string problem(std::string_view text) {
  const auto pieces = parse_template(text);
  return pieces ? "" : pieces.error().text;
}

TEST(Template, PutsValuesInThePlaceOfTheirNames) {
  EXPECT_EQ(fill_template("Into {target}: {text}!", {{"target", "French"}, {"text", "hello"}}),
            "Into French: hello!");
}

TEST(Template, HasBracesWrittenTwice) {
  EXPECT_EQ(fill_template("{{\"text\": \"{text}\"}}", {{"text", "hi"}}), "{\"text\": \"hi\"}");
  EXPECT_EQ(fill_template("{{text}}", {}), "{text}");
}

// What users write is put in once and never read as a template again.
TEST(Template, LeavesBracesInValuesAlone) {
  EXPECT_EQ(fill_template("{text} {target}", {{"text", "{target} {{x}}"}, {"target", "{text}"}}),
            "{target} {{x}} {text}");
}

TEST(Template, SaysWhereABraceIsWrong) {
  EXPECT_EQ(problem("fine {text}"), "");
  EXPECT_THAT(problem("open {text"), HasSubstr("byte 5"));
  EXPECT_THAT(problem("close }"), HasSubstr("byte 6"));
  EXPECT_THAT(problem("none {}"), HasSubstr("found '{}' at byte 5"));
  EXPECT_THAT(problem("{a b}"), HasSubstr("found '{a b}'"));
  EXPECT_THAT(problem("{"), HasSubstr("found the end"));
}

}  // namespace
}  // namespace tandem
