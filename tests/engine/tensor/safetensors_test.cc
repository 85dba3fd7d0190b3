#include "worker/engine/tensor/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/support/model_copy.h"

namespace tandem::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::safetensors_file;

Result<std::vector<StoredTensor>> parse(const std::string& file) {
  return parse_safetensors(std::as_bytes(std::span(file)));
}

// The error of a file with this header and 24 bytes of tensors.
std::string error_of(const std::string& header, size_t n_data = 24) {
  const auto parsed = parse(safetensors_file(header, std::string(n_data, 'x')));
  if (parsed) return "no error";
  EXPECT_EQ(parsed.error().code, ErrorCode::kCorrupt);
  return parsed.error().text;
}

constexpr char kTwoTensors[] =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,2],"data_offsets":[8,24]},)"
    R"("a":{"dtype":"BF16","shape":[4],"data_offsets":[0,8]}})";

TEST(SafetensorsTest, FindsTheTensorsOfAFileInTheOrderOfTheirBytes) {
  const std::string file = safetensors_file(kTwoTensors, "aaaaaaaabbbbbbbbbbbbbbbb");
  const auto tensors = parse(file);
  ASSERT_TRUE(tensors) << tensors.error().text;
  ASSERT_EQ(tensors->size(), 2u);
  EXPECT_EQ((*tensors)[0].name, "a");
  EXPECT_EQ((*tensors)[0].type, "BF16");
  EXPECT_EQ((*tensors)[1].shape, (std::vector<uint64_t>{2, 2}));
  EXPECT_EQ((*tensors)[1].bytes.size(), 16u);
  EXPECT_EQ(static_cast<char>((*tensors)[1].bytes[0]), 'b');
}

TEST(SafetensorsTest, TakesTensorsWithoutElementsAndScalars) {
  EXPECT_EQ(error_of(R"({"none":{"dtype":"F32","shape":[0,5],"data_offsets":[0,0]},)"
                     R"("one":{"dtype":"F64","shape":[],"data_offsets":[0,8]}})",
                     8),
            "no error");
}

// Files of tomorrow may hold types that nobody here asks for.
TEST(SafetensorsTest, LetsTensorsOfUnknownTypesPass) {
  EXPECT_EQ(error_of(R"({"a":{"dtype":"F4","shape":[48],"data_offsets":[0,24]}})"), "no error");
}

TEST(SafetensorsTest, RefusesAFileThatEndsBeforeItsHeaderDoes) {
  const std::string file = safetensors_file(kTwoTensors, std::string(24, 'x'));
  for (size_t n = 0; n < 8; ++n)
    EXPECT_THAT(parse(file.substr(0, n)).error().text, HasSubstr("at least 8 bytes"));
  for (size_t n = 8; n < 8 + sizeof kTwoTensors - 1; ++n) {
    EXPECT_THAT(parse(file.substr(0, n)).error().text, HasSubstr("cut off"));
  }
}

TEST(SafetensorsTest, NamesTheTensorWhoseBytesAreCutOff) {
  EXPECT_THAT(error_of(kTwoTensors, 23),
              AllOf(HasSubstr("'b'"), HasSubstr("[8, 24]"), HasSubstr("23 bytes")));
  EXPECT_EQ(error_of(kTwoTensors, 24), "no error");
  EXPECT_THAT(error_of(kTwoTensors, 25), AllOf(HasSubstr("expected 24 bytes"), HasSubstr("found 25")));
}

TEST(SafetensorsTest, RefusesAHeaderLargerThanAnyRealOne) {
  std::string file = safetensors_file("{}", "");
  file[3] = 0x07;  // 117 million bytes
  EXPECT_THAT(parse(file).error().text, AllOf(HasSubstr("at most 104857600"), HasSubstr("found 117440514")));
  file.replace(0, 8, "\xff\xff\xff\xff\xff\xff\xff\xff");
  EXPECT_THAT(parse(file).error().text, HasSubstr("18446744073709551615"));
}

TEST(SafetensorsTest, RefusesOffsetsThatOverlapOrLeaveAHole) {
  EXPECT_THAT(error_of(R"({"a":{"dtype":"U8","shape":[13],"data_offsets":[0,13]},)"
                       R"("b":{"dtype":"U8","shape":[12],"data_offsets":[12,24]}})"),
              AllOf(HasSubstr("'b'"), HasSubstr("begin at 13"), HasSubstr("found 12 (they overlap)")));
  EXPECT_THAT(error_of(R"({"a":{"dtype":"U8","shape":[11],"data_offsets":[0,11]},)"
                       R"("b":{"dtype":"U8","shape":[12],"data_offsets":[12,24]}})"),
              AllOf(HasSubstr("begin at 11"), HasSubstr("found 12 (a hole)")));
  EXPECT_THAT(error_of(R"({"a":{"dtype":"U8","shape":[24],"data_offsets":[24,0]}})"),
              HasSubstr("[begin, end]"));
  EXPECT_THAT(error_of(R"({"a":{"dtype":"U8","shape":[24],"data_offsets":[0]}})"), HasSubstr("[begin, end]"));
}

TEST(SafetensorsTest, RefusesASizeThatDoesNotFitShapeAndType) {
  EXPECT_THAT(error_of(R"({"a":{"dtype":"F32","shape":[5],"data_offsets":[0,24]}})"),
              AllOf(HasSubstr("'a'"), HasSubstr("20 bytes for F32 [5]"), HasSubstr("found 24")));
  EXPECT_THAT(error_of(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296,6],"data_offsets":[0,24]}})"),
              HasSubstr("impossibly large"));
  EXPECT_THAT(error_of(R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,6],"data_offsets":[0,24]}})"),
              HasSubstr("at most 8"));
}

TEST(SafetensorsTest, RefusesANameThatIsThereTwice) {
  EXPECT_THAT(error_of(R"({"a":{"dtype":"U8","shape":[24],"data_offsets":[0,24]},)"
                       R"("a":{"dtype":"U8","shape":[24],"data_offsets":[0,24]}})"),
              HasSubstr("tensor 'a' is there twice"));
}

TEST(SafetensorsTest, SaysWhatAHeaderShouldHaveBeen) {
  EXPECT_THAT(error_of("{"), HasSubstr("expected JSON"));
  EXPECT_THAT(error_of("[]"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(error_of(R"({"a":7})"), AllOf(HasSubstr("'a'"), HasSubstr("found 7")));
  EXPECT_THAT(error_of(R"({"a":{}})"), AllOf(HasSubstr("'dtype'"), HasSubstr("nothing")));
  EXPECT_THAT(error_of(R"({"a":{"dtype":4}})"), AllOf(HasSubstr("'dtype'"), HasSubstr("found 4")));
  EXPECT_THAT(error_of(R"({"a":{"dtype":"U8"}})"), HasSubstr("'shape'"));
  EXPECT_THAT(error_of(R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,24]}})"), HasSubstr("[-1]"));
  EXPECT_THAT(error_of(R"({"a":{"dtype":"U8","shape":[2.5],"data_offsets":[0,24]}})"), HasSubstr("[2.5]"));
  EXPECT_THAT(error_of(R"({"a":{"dtype":"U8","shape":"24","data_offsets":[0,24]}})"), HasSubstr("\"24\""));
  EXPECT_THAT(error_of("{\"\xff\":1}"), HasSubstr("expected JSON"));
  EXPECT_THAT(error_of(std::string(100'000, '[')), HasSubstr("nesting"));
  EXPECT_THAT(error_of("{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}"),
              HasSubstr("nesting"));
}

}  // namespace
}  // namespace tandem::engine
