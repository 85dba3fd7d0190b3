#include "worker/engine/tokenizer/bpe.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace tandem::engine {
namespace {

// A vocabulary grown at random: bytes, then joins of earlier tokens over a small alphabet.
struct Grown {
  std::vector<std::string> tokens;
  std::vector<bool> added;
  std::vector<Merge> merges;
  std::array<TokenId, 256> byte_ids{};

  explicit Grown(std::mt19937& random) {
    std::map<std::string, TokenId> ids;
    for (int byte = 0; byte < 256; ++byte) {
      byte_ids[static_cast<size_t>(byte)] = byte;
      tokens.emplace_back(1, static_cast<char>(byte));
      ids[tokens.back()] = byte;
    }
    std::vector<TokenId> usable = {'a', 'b', 'c', ' '};
    std::map<std::pair<TokenId, TokenId>, bool> seen;
    for (int i = 0; i < 60; ++i) {
      const TokenId left = usable[random() % usable.size()], right = usable[random() % usable.size()];
      if (std::exchange(seen[{left, right}], true)) continue;
      const std::string joined = tokens[static_cast<size_t>(left)] + tokens[static_cast<size_t>(right)];
      if (!ids.contains(joined)) {
        ids[joined] = static_cast<TokenId>(tokens.size());
        usable.push_back(ids[joined]);
        tokens.push_back(joined);
      }
      merges.push_back({left, right, ids[joined]});
    }
    added.resize(tokens.size());
  }

  // The definition: find the best pair, join it, begin again.
  Tokens reference(std::string_view piece) const {
    Tokens out;
    for (const char c : piece) out.push_back(static_cast<uint8_t>(c));
    for (;;) {
      size_t best_rank = merges.size(), best = 0;
      for (size_t i = 0; i + 1 < out.size(); ++i) {
        for (size_t rank = 0; rank < best_rank; ++rank) {
          if (merges[rank].left == out[i] && merges[rank].right == out[i + 1]) {
            best_rank = rank;
            best = i;
          }
        }
      }
      if (best_rank == merges.size()) return out;
      out[best] = merges[best_rank].result;
      out.erase(out.begin() + static_cast<ptrdiff_t>(best) + 1);
    }
  }
};

// Lengths on both sides of 128, where the way of merging changes.
TEST(BpeTest, JoinsAsTheDefinitionDoesForPiecesOfAnyLength) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 60; ++round) {
    const Grown grown(random);
    const Bpe bpe(grown.tokens, grown.added, grown.merges, grown.byte_ids, false);
    for (const size_t length : {0u, 1u, 2u, 3u, 5u, 8u, 30u, 127u, 128u, 129u, 300u}) {
      std::string piece;
      for (size_t i = 0; i < length; ++i) piece += "abc "[random() % 4];
      Tokens ids;
      bpe.encode(piece, ids);
      ASSERT_EQ(ids, grown.reference(piece)) << piece;
    }
  }
}

TEST(BpeTest, AppendsToWhatIsThere) {
  std::mt19937 random(1);
  const Grown grown(random);
  const Bpe bpe(grown.tokens, grown.added, grown.merges, grown.byte_ids, false);
  Tokens ids = {7};
  bpe.encode("xyz", ids);
  EXPECT_EQ(ids, (Tokens{7, 'x', 'y', 'z'}));
}

}  // namespace
}  // namespace tandem::engine
