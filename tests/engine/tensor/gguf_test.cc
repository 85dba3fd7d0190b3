// GGUF files, good ones and every way in which they may be wrong.

#include "worker/engine/tensor/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "tests/engine/support/gguf_writer.h"
#include "tests/support/temp_dir.h"
#include "worker/engine/tensor/element_type.h"
#include "worker/engine/tensor/gguf_names.h"

namespace tandem::engine {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::GgufWriter;
using ::testing::HasSubstr;
using testing::TempDir;

Result<GgufFile> parse(const std::string& file) {
  return parse_gguf(std::as_bytes(std::span(file)));
}
std::string u64(uint64_t value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::string u32(uint32_t value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
template <typename... Words>
void expect_error(const std::string& file, ErrorCode code, const Words&... words) {
  const auto parsed = parse(file);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, code) << parsed.error().text;
  EXPECT_THAT(parsed.error().text, AllOf(HasSubstr(words)...));
}

const std::string kFour(16, '\1');  // the bytes of four floats

TEST(GgufTest, ReadsValuesAndTensors) {
  GgufWriter write;
  write.number("a.count", 7).real("a.real", 0.5f).flag("a.flag", true).text("a.text", "hi");
  write.texts("a.texts", {"x", "", "yz"}).integers("a.integers", {3, -1});
  write.raw("a.negative", 5, u32(static_cast<uint32_t>(-2)));
  write.tensor("second", 0, {1, 4}, kFour).tensor("third", 30, {2}, "abcd");
  for (const uint32_t version : {2u, 3u}) {
    const std::string file = write.file(version);
    const auto gguf = parse(file);
    ASSERT_TRUE(gguf) << gguf.error().text;
    EXPECT_EQ(gguf->find("a.count")->count(), 7u);
    EXPECT_EQ(gguf->find("a.count")->real(), 7.0);
    EXPECT_EQ(gguf->find("a.real")->real(), 0.5);
    EXPECT_EQ(gguf->find("a.real")->count(), std::nullopt);
    EXPECT_EQ(gguf->find("a.flag")->flag(), true);
    EXPECT_EQ(gguf->find("a.text")->text(), "hi");
    EXPECT_THAT(*gguf->find("a.texts")->texts(), ElementsAre("x", "", "yz"));
    EXPECT_EQ(gguf->find("a.integers")->integers(), (std::vector<int64_t>{3, -1}));
    EXPECT_EQ(gguf->find("a.negative")->count(), std::nullopt);
    EXPECT_EQ(gguf->find("a.negative")->shown(), "-2");
    EXPECT_EQ(gguf->find("b"), nullptr);
    ASSERT_EQ(gguf->tensors.size(), 2u);
    EXPECT_EQ(gguf->tensors[0].name, "second");
    EXPECT_EQ(gguf->tensors[0].type, "F32");
    EXPECT_EQ(to_string(gguf->tensors[0].shape), "[1, 4]");
    EXPECT_EQ(gguf->tensors[1].type, "BF16");
    EXPECT_EQ(std::memcmp(gguf->tensors[1].bytes.data(), "abcd", 4), 0);
  }
}

// Wherever a file ends, that is an error and not a read behind its end.
TEST(GgufTest, SaysThatAFileIsCutOff) {
  GgufWriter write;
  write.texts("texts", {"abc", "d"}).integers("integers", {1, 2}).tensor("t", 0, {4}, kFour);
  const std::string file = write.file();
  ASSERT_TRUE(parse(file));
  for (size_t n = 0; n < file.size(); ++n) {
    const auto cut = parse(file.substr(0, n));
    ASSERT_FALSE(cut) << n;
    EXPECT_EQ(cut.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(cut.error().text, HasSubstr("expected"));
  }
}

TEST(GgufTest, RefusesOtherFiles) {
  expect_error("GGML" + std::string(40, '\0'), ErrorCode::kCorrupt, "GGUF");
  expect_error(GgufWriter().file(1), ErrorCode::kUnsupported, "version 2 or 3", "found 1");
  expect_error(GgufWriter().file(4), ErrorCode::kUnsupported, "found 4");
  expect_error(GgufWriter().file(0x03000000), ErrorCode::kUnsupported, "big-endian");
  expect_error(GgufWriter().number("split.count", 3).file(), ErrorCode::kUnsupported, "one file", "3");
}

TEST(GgufTest, BelievesNoCount) {
  const std::string head = "GGUF" + u32(3), huge = u64(UINT64_MAX);
  expect_error(head + huge + u64(0), ErrorCode::kCorrupt, "number of tensors", "18446744073709551615");
  expect_error(head + u64(0) + huge, ErrorCode::kCorrupt, "number of keys");
  const std::string key = head + u64(0) + u64(1);
  expect_error(key + huge + std::string(20, 'x'), ErrorCode::kCorrupt, "key 0: length");
  const std::string named = key + u64(1) + "k";
  expect_error(named + u32(8) + huge, ErrorCode::kCorrupt, "'k': length");
  expect_error(named + u32(13) + huge, ErrorCode::kCorrupt, "'k': expected a type", "13");
  expect_error(named + u32(9) + u32(8) + huge, ErrorCode::kCorrupt, "'k': count");
  expect_error(named + u32(9) + u32(10) + u64(1u << 30) + u64(0), ErrorCode::kCorrupt, "'k': count",
               "most 1");
  expect_error(named + u32(9) + u32(99) + u64(1), ErrorCode::kCorrupt, "'k': expected a type", "99");
  expect_error(named + u32(9) + u32(9) + u64(1), ErrorCode::kUnsupported, "'k'", "list of lists");
}

TEST(GgufTest, RefusesKeysAndTensorsThatAreThereTwice) {
  expect_error(GgufWriter().number("k", 1).number("k", 1).file(), ErrorCode::kCorrupt, "'k' is there twice");
  expect_error(GgufWriter().tensor("t", 0, {4}, kFour).tensor("t", 0, {4}, kFour).file(), ErrorCode::kCorrupt,
               "'t' is there twice");
}

TEST(GgufTest, BelievesNoPlaceOfATensor) {
  const auto file = [](uint64_t offset, uint32_t type, const std::vector<uint64_t>& shape) {
    return GgufWriter()
        .tensor("data", 0, {32}, std::string(128, 'x'))
        .tensor_at(offset, "t", type, shape)
        .file();
  };
  expect_error(file(7, 0, {1}), ErrorCode::kCorrupt, "'t'", "multiple of 32", "found 7");
  expect_error(file(128, 0, {1}), ErrorCode::kCorrupt, "'t'", "4 bytes at 128", "only 128");
  expect_error(file(UINT64_MAX - 31, 0, {1}), ErrorCode::kCorrupt, "'t'", "inside the file");
  expect_error(file(32, 0, {1}), ErrorCode::kCorrupt, "'t'", "overlap");
  expect_error(file(0, 0, {}), ErrorCode::kCorrupt, "'t'", "1 to 4 dimensions", "found 0");
  expect_error(file(0, 0, {1, 1, 1, 1, 1}), ErrorCode::kCorrupt, "'t'", "found 5");
  expect_error(file(0, 0, {1ull << 40, 1ull << 40}), ErrorCode::kCorrupt, "'t'", "impossibly large");
  expect_error(file(0, 8, {2, 33}), ErrorCode::kCorrupt, "'t'", "blocks of 32", "[2, 33]");
  expect_error(file(0, 8, {1ull << 58, 1ull << 10}), ErrorCode::kCorrupt, "'t'", "impossibly large");
}

// Somebody else's types do no harm until a model asks for such a tensor.
TEST(GgufTest, PassesOverTypesThatItDoesNotKnow) {
  const std::string file =
      GgufWriter().tensor("t", 99, {4}, kFour).tensor("k", 12, {256}, std::string(144, 'x')).file();
  const auto gguf = parse(file);
  ASSERT_TRUE(gguf) << gguf.error().text;
  EXPECT_EQ(gguf->tensors[0].type, "GGUF type 99");
  EXPECT_TRUE(gguf->tensors[0].bytes.empty());
  EXPECT_EQ(gguf->tensors[1].type, "Q4_K");
  EXPECT_EQ(gguf->tensors[1].bytes.size(), 144u);
}

TEST(GgufTest, TakesTheAlignmentThatTheFileNames) {
  GgufWriter write;
  write.number("general.alignment", 64).tensor("t", 0, {4}, kFour);
  const std::string file = write.file(3, 64);
  ASSERT_TRUE(parse(file));
  expect_error(GgufWriter().number("general.alignment", 0).file(), ErrorCode::kCorrupt, "alignment",
               "found 0");
  expect_error(GgufWriter().number("general.alignment", 48).file(), ErrorCode::kCorrupt, "power of two");
  expect_error(GgufWriter().text("general.alignment", "x").file(), ErrorCode::kCorrupt, "found 'x'");
}

TEST(GgufTest, TensorsGetTheNamesOfHuggingFace) {
  EXPECT_EQ(hugging_face_name("token_embd.weight"), "model.embed_tokens.weight");
  EXPECT_EQ(hugging_face_name("output.weight"), "lm_head.weight");
  EXPECT_EQ(hugging_face_name("blk.12.attn_q.bias"), "model.layers.12.self_attn.q_proj.bias");
  EXPECT_EQ(hugging_face_name("blk.0.ffn_norm.weight"), "model.layers.0.post_attention_layernorm.weight");
  for (const char* other : {"blk.x.attn_q.weight", "blk..attn_q.weight", "blk.1.attn_x.weight", "blk.",
                            "blk.1", "rope_freqs.weight", ""}) {
    EXPECT_EQ(hugging_face_name(other), other);
  }
}

TEST(GgufTest, APathMeansAFileOrAFolderWithOne) {
  const TempDir folder;
  const auto touch = [&](const char* name) { std::ofstream(folder.path() / name) << "x"; };
  EXPECT_EQ(*gguf_file_of(folder.path()), std::nullopt);
  EXPECT_EQ(*gguf_file_of(folder.path() / "a.gguf"), folder.path() / "a.gguf");
  EXPECT_EQ(*gguf_file_of(folder.path() / "absent"), std::nullopt);
  touch("a.gguf");
  EXPECT_EQ(*gguf_file_of(folder.path()), folder.path() / "a.gguf");
  touch("b.gguf");
  EXPECT_THAT(gguf_file_of(folder.path()).error().text, AllOf(HasSubstr("a.gguf"), HasSubstr("b.gguf")));
  touch("model.safetensors");
  EXPECT_EQ(*gguf_file_of(folder.path()), std::nullopt);
}

TEST(BlockTypesTest, WidenWhatTheirBytesMean) {
  std::string q8 = {0x00, 0x3c}, q4 = {0x00, static_cast<char>(0xb8)};  // scales 1 and -0.5
  for (int i = 0; i < 32; ++i) q8 += static_cast<char>(i * 8 - 128);
  for (int i = 0; i < 16; ++i) q4 += static_cast<char>(i | (15 - i) << 4);
  std::vector<float> out(64);
  const auto widen_twice = [&](ElementType type, const std::string& block) {
    const std::string stored = "?" + block + block;  // at an odd place, as everything may be
    widen(type, reinterpret_cast<const std::byte*>(stored.data()) + 1, out);
  };
  widen_twice(ElementType::kQ8_0, q8);
  for (int i = 0; i < 64; ++i) EXPECT_EQ(out[static_cast<size_t>(i)], static_cast<float>(i % 32 * 8 - 128));
  widen_twice(ElementType::kQ4_0, q4);
  for (int i = 0; i < 64; ++i) {
    const int q = i % 32 < 16 ? i % 32 : 31 - i % 32;
    EXPECT_EQ(out[static_cast<size_t>(i)], static_cast<float>(q - 8) * -0.5f);
  }
}

TEST(BlockTypesTest, ComeCloseToWhatWasQuantised) {
  std::vector<float> values(64), back(64);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(std::sin(double(i) * 1.7)) * 3;
  for (const auto& [type, error] : {std::pair{"F16", 2e-3}, {"BF16", 2e-2}, {"Q8_0", 0.013}, {"Q4_0", 0.4}}) {
    const std::string stored = testing::stored_as(type, values);
    widen(element_type_from(type), reinterpret_cast<const std::byte*>(stored.data()), back);
    for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(back[i], values[i], error) << type << " " << i;
  }
}

}  // namespace
}  // namespace tandem::engine
