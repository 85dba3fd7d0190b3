// Two saved runs side by side: what counts as worse, and the moment it begins to.

#include "client/cli/bench_compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace tandem::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// The verdict over one row with these figures.
Verdict verdict(const std::string& unit, double before, double after, double threshold = 0.05) {
  const auto comparison =
      compare_bench_rows({{"x", before, unit, {}}}, {{"x", after, unit, {}}}, threshold).value();
  return comparison.rows.front().verdict;
}

Verdict verdict_of_shares(double before, double after) {
  const auto comparison = compare_bench_rows({{"x", 1, "s", before}}, {{"x", 1, "s", after}}, 0.05).value();
  return comparison.rows.front().verdict;
}

std::string error_of(std::string_view json) {
  const auto rows = parse_bench_rows(json);
  return rows ? "no error" : rows.error().text;
}

TEST(BenchCompare, RatesAndRatiosAreBetterLargeAndTimesAndBytesAreBetterSmall) {
  for (const char* unit : {"tokens/s", "texts/s", "jobs/s", "1/s", "GB/s", "Gop/s", "GFLOP/s", "x"}) {
    EXPECT_EQ(verdict(unit, 100, 80), Verdict::kRegression) << unit;
    EXPECT_EQ(verdict(unit, 100, 120), Verdict::kImprovement) << unit;
  }
  for (const char* unit : {"s", "ms", "us", "us/token", "bytes", "MiB", "share of prompt tokens"}) {
    EXPECT_EQ(verdict(unit, 100, 120), Verdict::kRegression) << unit;
    EXPECT_EQ(verdict(unit, 100, 80), Verdict::kImprovement) << unit;
  }
}

TEST(BenchCompare, ExactlyAtTheThresholdIsStillTheSame) {
  EXPECT_EQ(verdict("1/s", 100, 95), Verdict::kSame);
  EXPECT_EQ(verdict("1/s", 100, 94.999), Verdict::kRegression);
  EXPECT_EQ(verdict("1/s", 100, 105), Verdict::kSame);
  EXPECT_EQ(verdict("1/s", 100, 105.001), Verdict::kImprovement);
  EXPECT_EQ(verdict("ms", 100, 105), Verdict::kSame);
  EXPECT_EQ(verdict("ms", 100, 105.001), Verdict::kRegression);
  EXPECT_EQ(verdict_of_shares(0.6, 0.57), Verdict::kSame);
  EXPECT_EQ(verdict_of_shares(0.6, 0.56999), Verdict::kRegression);
  EXPECT_EQ(verdict("1/s", 100, 100, 0), Verdict::kSame) << "nothing changed, and nothing may";
  EXPECT_EQ(verdict("1/s", 100, 99.999, 0), Verdict::kRegression);
}

// 5 % less of any figure is at the threshold, whatever its last binary digit is.
TEST(BenchCompare, RoundingDoesNotTipTheThreshold) {
  for (int i = 1; i <= 1000; ++i) {
    EXPECT_EQ(verdict("1/s", i / 10.0, i * 95 / 1000.0), Verdict::kSame) << i;
    EXPECT_EQ(verdict("s", i / 10.0, i * 105 / 1000.0), Verdict::kSame) << i;
  }
}

TEST(BenchCompare, FromNothingToSomethingIsAChange) {
  EXPECT_EQ(verdict("s", 0, 0), Verdict::kSame);
  EXPECT_EQ(verdict("s", 0, 0.1), Verdict::kRegression);
  EXPECT_EQ(verdict("1/s", 0, 0.1), Verdict::kImprovement);
  EXPECT_EQ(verdict("1/s", 0.1, 0), Verdict::kRegression);
}

// Half the figure on half the machine is as good; the same figure on twice the machine is not.
TEST(BenchCompare, WhereBothHaveAShareTheShareDecides) {
  const auto comparison = compare_bench_rows(
      {{"a", 100, "tokens/s", 0.8}, {"b", 100, "tokens/s", 0.8}, {"c", 100, "tokens/s", 0.8}},
      {{"a", 50, "tokens/s", 0.8}, {"b", 100, "tokens/s", 0.4}, {"c", 50, "tokens/s", {}}}, 0.05);
  ASSERT_TRUE(comparison) << comparison.error().text;
  EXPECT_EQ(comparison->rows[0].verdict, Verdict::kSame);
  EXPECT_EQ(comparison->rows[1].verdict, Verdict::kRegression);
  EXPECT_TRUE(comparison->rows[1].by_share);
  EXPECT_EQ(comparison->rows[2].verdict, Verdict::kRegression) << "one share has nothing to be compared with";
  EXPECT_FALSE(comparison->rows[2].by_share);
}

TEST(BenchCompare, TimesHaveSharesTooAndThoseAreBetterHigh) {
  EXPECT_EQ(verdict_of_shares(0.5, 0.9), Verdict::kImprovement);
  EXPECT_EQ(verdict_of_shares(0.9, 0.5), Verdict::kRegression);
}

TEST(BenchCompare, ASlowerMachineIsNoRegression) {
  const auto comparison =
      compare_bench_rows({{"ceiling.fma", 272, "GFLOP/s", {}}}, {{"ceiling.fma", 100, "GFLOP/s", {}}}, 0.05);
  ASSERT_TRUE(comparison) << comparison.error().text;
  EXPECT_EQ(comparison->rows[0].verdict, Verdict::kCeiling);
  EXPECT_THAT(render_comparison(*comparison, false),
              AllOf(HasSubstr("-63.2 %"), HasSubstr("the machine"), HasSubstr("1 row: 0 regressions")));
}

TEST(BenchCompare, WhatOnlyOneRunHasIsShownAndNotJudged) {
  const auto comparison = compare_bench_rows({{"gone", 1, "1/s", {}}, {"kept", 1, "1/s", {}}},
                                             {{"came", 1, "1/s", {}}, {"kept", 1, "1/s", {}}}, 0.05);
  ASSERT_TRUE(comparison) << comparison.error().text;
  std::vector<std::string> rows;
  for (const ComparedRow& row : comparison->rows)
    rows.push_back(row.name + ": " + std::string(to_string(row.verdict)));
  EXPECT_THAT(rows, ElementsAre("gone: only in old", "kept: same", "came: only in new"));
}

TEST(BenchCompare, RunsOfTwoBenchmarksHaveNothingInCommon) {
  const auto comparison = compare_bench_rows({{"a", 1, "1/s", {}}}, {{"b", 1, "1/s", {}}}, 0.05);
  ASSERT_FALSE(comparison);
  EXPECT_THAT(comparison.error().text, HasSubstr("no name that is in both"));
}

TEST(BenchCompare, AUnitThatChangedOrIsUnknownIsNotJudgedByItsFigure) {
  EXPECT_EQ(verdict("points", 1, 2), Verdict::kNotJudged);
  const auto comparison = compare_bench_rows({{"a", 1, "ms", {}}, {"b", 1, "ms", 0.9}},
                                             {{"a", 1000, "us", {}}, {"b", 1000, "us", 0.5}}, 0.05);
  ASSERT_TRUE(comparison) << comparison.error().text;
  EXPECT_EQ(comparison->rows[0].verdict, Verdict::kNotJudged);
  EXPECT_EQ(comparison->rows[0].value_change, std::nullopt);
  EXPECT_EQ(comparison->rows[1].verdict, Verdict::kRegression) << "shares have no unit";
  EXPECT_THAT(render_comparison(*comparison, false),
              AllOf(HasSubstr("ms → us"), HasSubstr("not judged: another unit"), HasSubstr("1 not judged")));
}

Comparison a_bit_of_everything() {
  return compare_bench_rows({{"ceiling.fma", 272.4, "GFLOP/s", {}},
                             {"prefill.q8.64", 110.94, "tokens/s", 0.8},
                             {"decode.q8.1", 6.21, "tokens/s", 0.96},
                             {"start.warm", 0.5, "s", {}},
                             {"queue.replay", 388929, "jobs/s", {}}},
                            {{"ceiling.fma", 202, "GFLOP/s", {}},
                             {"prefill.q8.64", 82.5, "tokens/s", 0.7951},
                             {"decode.q8.1", 4, "tokens/s", 0.72},
                             {"start.warm", 0.25, "s", {}},
                             {"prefill.q4.64", 120, "tokens/s", {}}},
                            0.05)
      .value();
}

TEST(BenchCompare, TheTableSaysWhatDecided) {
  EXPECT_EQ(
      render_comparison(a_bit_of_everything(), false),
      "name              old    new  unit       change            share\n"
      "─────────────  ──────  ─────  ────────  ───────  ───────────────  ────────────────────\n"
      "ceiling.fma     272.4  202.0  GFLOP/s   -25.8 %                   the machine\n"
      "prefill.q8.64   110.9   82.5  tokens/s  -25.6 %  80.0 % → 79.5 %\n"
      "decode.q8.1      6.21      4  tokens/s  -35.6 %  96.0 % → 72.0 %  regression by share\n"
      "start.warm        0.5   0.25  s         -50.0 %                   improvement by value\n"
      "queue.replay   388929         jobs/s                              only in old\n"
      "prefill.q4.64          120.0  tokens/s                            only in new\n"
      "6 rows: 1 regression, 1 improvement, 1 within 5 %, 1 of the machine, 1 only in old, 1 only in new\n");
}

TEST(BenchCompare, ColoursChangeNothingButColour) {
  const std::string plain = render_comparison(a_bit_of_everything(), false);
  std::string coloured = render_comparison(a_bit_of_everything(), true);
  EXPECT_THAT(plain, Not(HasSubstr("\033")));
  EXPECT_THAT(coloured, AllOf(HasSubstr("\033[31mdecode.q8.1"), HasSubstr("\033[32mstart.warm"),
                              HasSubstr("\033[2mceiling.fma"), HasSubstr("\nprefill.q8.64")));
  for (const std::string code : {"\033[31m", "\033[32m", "\033[2m", "\033[0m"}) {
    for (size_t at; (at = coloured.find(code)) != std::string::npos;) coloured.erase(at, code.size());
  }
  EXPECT_EQ(coloured, plain);
}

TEST(BenchCompare, MachinesReadTheSame) {
  const auto json = nlohmann::json::parse(comparison_json(a_bit_of_everything()));
  EXPECT_EQ(json["threshold"], 0.05);
  EXPECT_EQ(json["regressions"], 1);
  EXPECT_EQ(json["improvements"], 1);
  ASSERT_EQ(json["rows"].size(), 6u);
  EXPECT_EQ(json["rows"][2]["verdict"], "regression");
  EXPECT_EQ(json["rows"][2]["by"], "share");
  EXPECT_NEAR(json["rows"][2]["share_change"], -0.25, 1e-12);
  EXPECT_EQ(json["rows"][3]["by"], "value");
  EXPECT_EQ(json["rows"][3]["change"], -0.5);
  EXPECT_TRUE(json["rows"][4]["new"].is_null());
  EXPECT_TRUE(json["rows"][5]["by"].is_null());
}

TEST(BenchRows, WhatABenchmarkWritesIsReadBack) {
  const auto rows = parse_bench_rows(R"([
  {"name": "decode.f32.1", "value": 7.9, "unit": "tokens/s", "share": 0.56},
  {"name": "ceiling.fma", "value": 272, "unit": "GFLOP/s", "share": null},
  {"name": "later", "value": 0, "unit": "s", "new": "field"}
])");
  ASSERT_TRUE(rows) << rows.error().text;
  ASSERT_EQ(rows->size(), 3u);
  EXPECT_EQ((*rows)[0].name, "decode.f32.1");
  EXPECT_EQ((*rows)[0].value, 7.9);
  EXPECT_EQ((*rows)[0].unit, "tokens/s");
  EXPECT_EQ((*rows)[0].share, 0.56);
  EXPECT_EQ((*rows)[1].share, std::nullopt);
  EXPECT_EQ((*rows)[2].share, std::nullopt);
}

TEST(BenchRows, BrokenJsonHasItsLineAndColumn) {
  EXPECT_THAT(error_of("[\n  {\"name\": \"a\", \"value\": nan}\n]"),
              AllOf(HasSubstr("expected the rows"), HasSubstr("broken JSON at line 2, column 27")));
  EXPECT_THAT(error_of(""), HasSubstr("broken JSON at line 1, column 1"));
  EXPECT_THAT(error_of("[{\"name\": \"a\"}"), HasSubstr("broken JSON at line 1"));
}

TEST(BenchRows, OtherJsonIsRefusedWithTheRowAndTheField) {
  const struct {
    const char* json;
    const char* expected;
  } cases[] = {
      {"{\"rows\": []}", "expected a list of rows, found {\"rows\":[]}"},
      {"[]", "expected a list of rows, found an empty one"},
      {"[7]", "row 1: expected an object, found 7"},
      {R"([{"value": 1, "unit": "s"}])",
       R"(row 1: "name": expected a string that is not empty, found nothing)"},
      {R"([{"name": "", "value": 1, "unit": "s"}])", R"(row 1: "name")"},
      {R"([{"name": "a", "value": 1}])",
       R"(row 1: "unit": expected a string that is not empty, found nothing)"},
      {R"([{"name": "a", "value": "1", "unit": "s"}])",
       R"(row 1: "value": expected a number from 0 up, found "1")"},
      {R"([{"name": "a", "value": -1, "unit": "s"}])", "found -1"},
      {R"([{"name": "a", "value": 1, "unit": "s", "share": "80 %"}])", R"(or null, found "80 %")"},
      {R"([{"name": "a", "value": 1, "unit": "s"}, {"name": "a", "value": 2, "unit": "s"}])",
       R"(row 2: "name": expected one that no row above has, found "a")"},
  };
  for (const auto& one : cases) EXPECT_THAT(error_of(one.json), HasSubstr(one.expected)) << one.json;
}

TEST(BenchRows, AFoundTextIsQuotedInPart) {
  EXPECT_LT(error_of("\"" + std::string(100'000, 'x') + "\"").size(), 200u);
}

TEST(BenchRows, AMissingFileIsNamed) {
  const auto rows = read_bench_rows("nowhere/old.json");
  ASSERT_FALSE(rows);
  EXPECT_THAT(rows.error().text, HasSubstr("nowhere/old.json"));
}

}  // namespace
}  // namespace tandem::cli
