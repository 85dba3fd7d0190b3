#include "worker/cache/semantic/ngram_embedder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shared/base/file.h"
#include "tests/support/temp_dir.h"
#include "worker/cache/semantic/byte_fields.h"

namespace tandem::semantic {
namespace {

using ::testing::HasSubstr;

double cosine(const Embedder& embedder, const std::string& a, const std::string& b) {
  const auto x = embedder.embed(a), y = embedder.embed(b);
  double sum = 0;
  for (size_t i = 0; i < embedder.dimension(); ++i) sum += double{(*x)[i]} * (*y)[i];
  return sum;
}

// Recorded from train_ngram.py: both must read a text the same way, or a learned file means nothing.
TEST(NgramRows, AreThoseOfTheTrainer) {
  EXPECT_EQ(ngram_rows("Don't stop", 1u << 15),
            (std::vector<uint32_t>{4490, 13447, 13784, 15267, 16880, 16955, 22210, 22883, 31579}));
  EXPECT_EQ(ngram_rows("花呗ＡＢ怎么用？É", 1u << 15),
            (std::vector<uint32_t>{449, 475, 2218, 2628, 2884, 3541, 5376, 8628, 9126, 9998, 10716, 11079,
                                   16467, 19176, 19475, 26058, 31722}));
}

TEST(NgramRows, SeeNoDifferenceInCaseFormAndSigns) {
  EXPECT_EQ(ngram_rows("How ARE you?", 1000), ngram_rows("how are you", 1000));
  EXPECT_EQ(ngram_rows("caf\u00e9 ole", 1000), ngram_rows("cafe\u0301 ole", 1000));
  EXPECT_TRUE(ngram_rows(" ?! ", 1000).empty());
}

TEST(NgramEmbedder, GivesUnitVectorsAndZerosForNothing) {
  const auto embedder = NgramEmbedder::plain();
  EXPECT_NEAR(cosine(*embedder, "how are you", "how are you"), 1, 1e-6);
  EXPECT_EQ(*embedder->embed("?!"), std::vector<float>(embedder->dimension()));
  EXPECT_NEAR(cosine(*embedder, "\xff\xfe abc", "\xff\xfe abc"), 1, 1e-6) << "any bytes";
}

TEST(NgramEmbedder, PutsSharedWordsNearer) {
  const auto embedder = NgramEmbedder::plain();
  EXPECT_GT(cosine(*embedder, "怎么开通花呗", "花呗怎么开通"), 0.5);
  EXPECT_LT(cosine(*embedder, "怎么开通花呗", "今天天气不错"), 0.3);
}

class NgramFile : public ::testing::Test {
 protected:
  // Three rows of two numbers.
  static std::string body() {
    return ByteWriter().f32(1).f32(0.5f).f32(2).raw(std::string("\x01\xff\x02\x03\x7f\x80", 6)).bytes();
  }
  static std::string file(uint32_t rows, uint32_t dimension, uint32_t crc, const std::string& content) {
    return ByteWriter().raw("TDNGRAM1").u32(rows).u32(dimension).u32(crc).raw(content).bytes();
  }
  std::string error_of(const std::string& bytes) {
    const auto path = folder_.path() / "ngram.tdng";
    EXPECT_TRUE(write_file_atomically(path, bytes));
    const auto loaded = NgramEmbedder::load(path);
    return loaded ? "" : loaded.error().text;
  }
  static constexpr uint32_t kCrc = 0xb0380eb4;  // zlib.crc32 of body()
  testing::TempDir folder_;
};

TEST_F(NgramFile, IsRead) {
  ASSERT_EQ(error_of(file(3, 2, kCrc, body())), "");
  const auto loaded = NgramEmbedder::load(folder_.path() / "ngram.tdng");
  EXPECT_EQ((*loaded)->dimension(), 2u);
  EXPECT_NE((*loaded)->fingerprint(), NgramEmbedder::plain()->fingerprint());
  EXPECT_NEAR(cosine(**loaded, "a b", "a b"), 1, 1e-6);
}

TEST_F(NgramFile, IsRefusedWhenItIsNotWhatItSays) {
  EXPECT_THAT(error_of("TDNGRAM2"), HasSubstr("TDNGRAM1"));
  EXPECT_THAT(error_of("TDNGRAM1abc"), HasSubstr("rows"));
  EXPECT_THAT(error_of(file(0, 2, kCrc, body())), HasSubstr("rows"));
  EXPECT_THAT(error_of(file(3, 1u << 31, kCrc, body())), HasSubstr("rows"));
  EXPECT_THAT(error_of(file(4, 2, kCrc, body())), HasSubstr("expected 24 bytes of rows, found 18"));
  EXPECT_THAT(error_of(file(3, 2, kCrc, body().substr(1))), HasSubstr("bytes of rows"));
  EXPECT_THAT(error_of(file(3, 2, kCrc ^ 1, body())), HasSubstr("checksum"));
  std::string damaged = file(3, 2, kCrc, body());
  damaged.back() ^= 1;
  EXPECT_THAT(error_of(damaged), HasSubstr("checksum"));
  EXPECT_EQ(NgramEmbedder::load(folder_.path() / "none").error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace tandem::semantic
