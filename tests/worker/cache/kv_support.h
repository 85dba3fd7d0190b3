// A store of blocks for tests: what lies in a block follows from its text, so a wrong one is seen.

#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"
#include "worker/cache/kv_store.h"

namespace tandem::testing {

using engine::TokenId;
using engine::Tokens;

inline constexpr size_t kContentBytes = 6000;  // pages of its own, as real blocks have

inline Tokens numbers(TokenId first, size_t n) {
  Tokens tokens(n);
  for (size_t i = 0; i < n; ++i) tokens[i] = first + static_cast<TokenId>(i);
  return tokens;
}

inline std::vector<std::byte> content_of(std::span<const TokenId> text) {
  const Hash128 seed = HashBuilder().add_bytes(text.data(), text.size_bytes()).finish();
  std::mt19937_64 random(seed.low64());
  std::vector<std::byte> content(kContentBytes);
  for (std::byte& byte : content) byte = static_cast<std::byte>(random());
  return content;
}

class KvStoreFixture : public ::testing::Test {
 protected:
  KvStoreFixture() {
    options_ = {.folder = folder_ / "prefix",
                .bytes_max = 64u << 20,
                .identity = hash128("a model"),
                .block_bytes = kContentBytes};
  }

  KvStore open() {
    auto store = KvStore::open(options_);
    TANDEM_ASSERT(store, "a temporary folder takes a store");
    return std::move(*store);
  }
  // The blocks of a text as changes; its end, too, when it is not full.
  std::vector<KvChange> blocks_of(const Tokens& text) const {
    std::vector<KvChange> changes;
    for (size_t begin = 0; begin < text.size(); begin += kKvBlockTokens) {
      const auto one = std::span<const TokenId>(text).first(std::min(begin + kKvBlockTokens, text.size()));
      std::string record = open_kv_record(one, content_of(one));
      seal_kv_record(options_.identity, record);
      changes.push_back({KvChange::Kind::kStore, kv_key(options_.identity, one), std::move(record)});
    }
    return changes;
  }
  void store(KvStore& store, const Tokens& text) const {
    const auto stored = store.apply(blocks_of(text));
    EXPECT_TRUE(stored) << stored.error().text;
  }
  // Tokens of `text` that are found, block by block. A block with other content than its text's fails the
  // test: unless `damaged` is given, so does a damaged one.
  size_t found(const KvStore& store, const Tokens& text, std::vector<std::string>* damaged = nullptr) const {
    std::vector<std::byte> content(kContentBytes);
    size_t n = 0;
    while (n < text.size() && n % kKvBlockTokens == 0) {
      const auto found = store.find(text, n, n, content);
      EXPECT_TRUE(found) << found.error().text;
      if (!found) break;
      if (damaged != nullptr) {
        damaged->insert(damaged->end(), found->damaged.begin(), found->damaged.end());
      } else {
        EXPECT_THAT(found->damaged, ::testing::IsEmpty());
      }
      if (found->n_tokens == 0) break;
      n += found->n_tokens;
      if (n % kKvBlockTokens == 0) {
        EXPECT_EQ(content, content_of(std::span<const TokenId>(text).first(n)));
      }
    }
    return n;
  }

  TempDir folder_;
  KvStoreOptions options_;
};

}  // namespace tandem::testing
