#include "worker/engine/constraint/json_schema.h"

#include <gmock/gmock.h>

#include <chrono>

#include "tests/engine/constraint/json_check.h"
#include "tests/engine/constraint/random_text.h"
#include "worker/engine/constraint/grammar.h"

namespace tandem::engine {
namespace {

using tandem::testing::fits;
using tandem::testing::Json;
using tandem::testing::random_text;
using ::testing::HasSubstr;

bool fits_schema(const std::string& schema, std::string_view text) {
  const auto grammar = grammar_of_json(schema);
  EXPECT_TRUE(grammar) << schema << ": " << grammar.error().text;
  return grammar && fits(*grammar, text);
}
std::string mistake(const std::string& schema) {
  const auto grammar = grammar_of_json(schema);
  return grammar ? "" : grammar.error().text;
}
ErrorCode code(const std::string& schema) {
  const auto grammar = grammar_of_json(schema);
  return grammar ? ErrorCode{} : grammar.error().code;
}

constexpr char kPerson[] = R"({"type": "object", "required": ["name", "age"], "properties": {
    "name": {"type": "string"}, "nick": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 150}}})";

TEST(JsonSchemaTest, WithoutASchemaAnyJsonFits) {
  for (const char* text :
       {"1", "-0.5e+10", "true", "null", R"("a\u0041\n你")", "[]", "{}", R"([1, {"a":[null,"x"]}])"})
    EXPECT_TRUE(fits_schema("", text)) << text;
  for (const char* text : {"", "01", "1.", "+1", "tru", "\"\n\"", "[1,]", "{a:1}", "[1 ,2]", " 1", "{ }",
                           R"("\ud800")", R"("\x41")", "1e999", "\"\xFF\""})
    EXPECT_FALSE(fits_schema("", text)) << text;
  EXPECT_TRUE(fits_schema("", R"("\ud83d\ude04")"));
}

TEST(JsonSchemaTest, AnObjectHasItsPropertiesInOrder) {
  EXPECT_TRUE(fits_schema(kPerson, R"({"name":"Ann","nick":"a","age":7})"));
  EXPECT_TRUE(fits_schema(kPerson, R"({"name": "Ann", "age": 7})"));
  EXPECT_FALSE(fits_schema(kPerson, R"({"name":"Ann"})"));
  EXPECT_FALSE(fits_schema(kPerson, R"({"age":7,"name":"Ann"})"));
  EXPECT_FALSE(fits_schema(kPerson, R"({"name":"Ann","age":151})"));
  EXPECT_FALSE(fits_schema(kPerson, R"({"name":"Ann","age":7,"more":1})"));
  EXPECT_FALSE(fits_schema(kPerson, R"({"name":"Ann","age":7,})"));
  EXPECT_FALSE(fits_schema(kPerson, R"({"name":"Ann",  "age":7})"));
}

// Every subset of three optional members, with commas only between two.
TEST(JsonSchemaTest, OptionalPropertiesMayBeLeftOut) {
  const std::string schema =
      R"({"type":"object","properties":{"a":{"const":1},"b":{"const":2},"c":{"const":3}}})";
  for (const char* text : {"{}", R"({"a":1})", R"({"b":2})", R"({"c":3})", R"({"a":1,"b":2})",
                           R"({"a":1,"c":3})", R"({"b":2,"c":3})", R"({"a":1,"b":2,"c":3})"})
    EXPECT_TRUE(fits_schema(schema, text)) << text;
  for (const char* text : {R"({,"b":2})", R"({"a":1"b":2})", R"({"b":2,"a":1})", R"({"a":1,"a":1})"})
    EXPECT_FALSE(fits_schema(schema, text)) << text;
}

TEST(JsonSchemaTest, AnObjectWithoutPropertiesIsAMap) {
  EXPECT_TRUE(fits_schema(R"({"type":"object"})", R"({"x":[1],"y":"z"})"));
  EXPECT_TRUE(fits_schema(R"({"type":"object","additionalProperties":{"type":"integer"}})", R"({"x":1})"));
  EXPECT_FALSE(fits_schema(R"({"type":"object","additionalProperties":{"type":"integer"}})", R"({"x":"1"})"));
  EXPECT_FALSE(fits_schema(R"({"type":"object","additionalProperties":false})", R"({"x":1})"));
  EXPECT_TRUE(fits_schema(R"({"type":"object","additionalProperties":false})", "{}"));
}

TEST(JsonSchemaTest, CountsItemsAndCharacters) {
  const std::string two_to_three = R"({"type":"array","items":{"type":"boolean"},"minItems":2,"maxItems":3})";
  EXPECT_FALSE(fits_schema(two_to_three, "[true]"));
  EXPECT_TRUE(fits_schema(two_to_three, "[true,false]"));
  EXPECT_TRUE(fits_schema(two_to_three, "[true,false, true]"));
  EXPECT_FALSE(fits_schema(two_to_three, "[true,false,true,true]"));
  EXPECT_TRUE(fits_schema(R"({"type":"array","maxItems":0})", "[]"));
  EXPECT_FALSE(fits_schema(R"({"type":"array","maxItems":0})", "[1]"));
  const std::string two = R"({"type":"string","minLength":2,"maxLength":2})";
  for (const char* text : {R"("ab")", R"("你好")", R"("\n\u4f60")", R"("\ud83d\ude04a")"})
    EXPECT_TRUE(fits_schema(two, text)) << text;
  for (const char* text : {R"("a")", R"("abc")", R"("\ud83d\ude04")"})
    EXPECT_FALSE(fits_schema(two, text)) << text;
}

TEST(JsonSchemaTest, IntegersStayBetweenTheirBounds) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 150; ++round) {
    const int64_t scale = std::vector<int64_t>{3, 20, 1000, 100'000}[random() % 4];
    const auto any = [&] {
      return static_cast<int64_t>(random() % static_cast<uint64_t>(2 * scale + 1)) - scale;
    };
    const int64_t a = any(), b = any(), min = std::min(a, b), max = std::max(a, b);
    const auto grammar =
        grammar_of_json(Json{{"type", "integer"}, {"minimum", min}, {"maximum", max}}.dump());
    ASSERT_TRUE(grammar);
    Automaton automaton(*grammar);
    for (const int64_t border : {min, max, int64_t{0}, int64_t{10}, int64_t{-10}, int64_t{100}}) {
      for (int64_t n = border - 2; n <= border + 2; ++n)
        ASSERT_EQ(fits(automaton, std::to_string(n)), min <= n && n <= max)
            << n << " in " << min << ".." << max;
    }
    for (int i = 0; i < 20; ++i) {
      const int64_t n = any();
      ASSERT_EQ(fits(automaton, std::to_string(n)), min <= n && n <= max)
          << n << " in " << min << ".." << max;
    }
    ASSERT_FALSE(fits(automaton, "-0"));
    ASSERT_FALSE(fits(automaton, "007"));
  }
}

TEST(JsonSchemaTest, APatternHoldsForTheTextNotForItsSpelling) {
  const std::string schema = R"({"type":"string","pattern":"^a\"\\n?.$"})";
  EXPECT_TRUE(fits_schema(schema, R"("a\"\nb")"));
  EXPECT_TRUE(fits_schema(schema, R"("a\"\\")"));
  EXPECT_FALSE(fits_schema(schema, R"("a"b")"));
  EXPECT_TRUE(fits_schema(R"({"type":"string","pattern":"b"})", R"("abc")"));
  EXPECT_FALSE(fits_schema(R"({"type":"string","pattern":"b"})", R"("ac")"));
}

TEST(JsonSchemaTest, ReferencesMayGoInCircles) {
  const std::string tree = R"({"$ref":"#/$defs/tree","$defs":{"tree":{"type":"object","required":["v"],
      "properties":{"v":{"type":"integer"},"left":{"$ref":"#/$defs/tree"},"right":{"$ref":"#/$defs/tree"}}}}})";
  EXPECT_TRUE(fits_schema(tree, R"({"v":1,"left":{"v":2,"right":{"v":3}},"right":{"v":4}})"));
  EXPECT_FALSE(fits_schema(tree, R"({"v":1,"left":{}})"));
  EXPECT_THAT(mistake(R"({"$ref":"#"})"), HasSubstr("to itself"));
  EXPECT_THAT(mistake(R"({"anyOf":[{"$ref":"#"},{"type":"null"}]})"), HasSubstr("to itself"));
  EXPECT_THAT(mistake(R"({"type":"array","minItems":1,"items":{"$ref":"#"}})"),
              HasSubstr("that some text fits"));
}

TEST(JsonSchemaTest, NamesTheKeywordThatItDoesNotSupport) {
  EXPECT_EQ(
      mistake(R"({"type":"object","properties":{"a/b":{"type":"number","multipleOf":2}}})"),
      "JSON schema, /properties/a~1b/multipleOf: expected a keyword that is supported for this type, found "
      "'multipleOf'");
  for (const char* schema :
       {R"({"oneOf":[true]})", R"({"allOf":[true]})", R"({"not":{}})", R"({"if":{}})",
        R"({"type":"string","format":"date"})", R"({"type":"array","uniqueItems":true})",
        R"({"type":"array","prefixItems":[]})", R"({"type":"object","patternProperties":{}})",
        R"({"type":"number","maximum":3})", R"({"type":"number","minimum":3})",
        R"({"type":"object","properties":{"a":{}},"additionalProperties":true})", R"({"$ref":"other.json"})",
        R"({"type":"string","pattern":"a","maxLength":3})", R"({"properties":{}})",
        R"({"enum":["a"],"minLength":3})", R"({"anyOf":[true],"type":"string"})",
        R"_({"type":"string","pattern":"(?=a)"})_"}) {
    EXPECT_EQ(code(schema), ErrorCode::kUnsupported) << schema << ": " << mistake(schema);
    EXPECT_THAT(mistake(schema), HasSubstr("JSON schema, /")) << schema;
  }
}

TEST(JsonSchemaTest, SaysWhatIsWrongWithASchema) {
  EXPECT_THAT(mistake("{"), HasSubstr("expected JSON"));
  EXPECT_THAT(mistake("[]"), HasSubstr("at the top: expected a schema, found []"));
  EXPECT_THAT(mistake("false"), HasSubstr("that some text fits"));
  EXPECT_THAT(mistake(R"({"type":"text"})"), HasSubstr("/type: expected string, integer"));
  EXPECT_THAT(mistake(R"({"type":[]})"), HasSubstr("/type: expected a type"));
  EXPECT_THAT(mistake(R"({"type":"object","required":["a"]})"),
              HasSubstr("/required: expected names of properties, found \"a\""));
  EXPECT_THAT(mistake(R"({"type":"string","minLength":-1})"),
              HasSubstr("/minLength: expected a number from 0"));
  EXPECT_THAT(mistake(R"({"type":"string","minLength":3,"maxLength":2})"), HasSubstr("/minLength"));
  EXPECT_THAT(mistake(R"({"type":"integer","minimum":2.5})"), HasSubstr("/minimum: expected a whole number"));
  EXPECT_THAT(mistake(R"({"type":"integer","minimum":1e300})"),
              HasSubstr("/minimum: expected a whole number"));
  EXPECT_THAT(mistake(R"({"type":"integer","minimum":3,"maximum":2})"), HasSubstr("between the bounds"));
  EXPECT_THAT(mistake(R"({"type":"string","enum":[1]})"), HasSubstr("/enum: expected values of the type"));
  EXPECT_THAT(mistake(R"({"enum":[]})"), HasSubstr("/enum"));
  EXPECT_THAT(mistake(R"({"$ref":"#/nowhere"})"), HasSubstr("/$ref: expected a place in this schema"));
  EXPECT_THAT(mistake(R"({"$ref":"#nowhere"})"), HasSubstr("/$ref: expected a place in this schema"));
  EXPECT_THAT(mistake(R"({"type":"string","pattern":"("})"), HasSubstr("/pattern: regex, character 2"));
  std::string deep = "true";
  for (int i = 0; i < 100; ++i) deep = R"({"type":"array","items":)" + deep + "}";
  EXPECT_THAT(mistake(deep), HasSubstr("expected at most 64 schemas inside each other"));
  EXPECT_THAT(mistake(std::string(300'000, ' ')), HasSubstr("expected at most 262144 bytes"));
}

// What the grammar allows, the standard allows, and every JSON reader reads.
TEST(JsonSchemaTest, WhateverItAllowsFitsTheSchema) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  int n_texts = 0;
  for (int round = 0; round < 1000; ++round) {
    Json schema = tandem::testing::random_schema(random, 3, true);
    schema["$defs"]["node"] =
        Json{{"type", "array"}, {"items", tandem::testing::random_schema(random, 1, true)}};
    const std::string written = schema.dump();
    const auto grammar = grammar_of_json(written);
    ASSERT_TRUE(grammar) << written << ": " << grammar.error().text;
    Automaton automaton(*grammar);
    for (int i = 0; i < 3; ++i) {
      const auto text = random_text(automaton, random, 3000);
      if (!text) continue;
      const Json value = Json::parse(*text, nullptr, false);
      ASSERT_FALSE(value.is_discarded()) << written << "\n" << *text;
      ASSERT_EQ(tandem::testing::mismatch(schema, schema, value), "") << written << "\n" << *text;
      ++n_texts;
    }
  }
  EXPECT_GT(n_texts, 2000);
}

}  // namespace
}  // namespace tandem::engine
