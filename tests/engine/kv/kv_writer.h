// Stands for the model in tests of the KV cache: writes into blocks, and says what lies in them. The one
// place of the tests that knows the layout of a block.

#pragma once

#include <gtest/gtest.h>

#include <set>
#include <span>

#include "worker/engine/model/model.h"

namespace tandem::testing {

using engine::kBlockTokens;
using engine::KvCache;
using engine::KvSequence;
using engine::KvShape;
using engine::TokenId;

inline constexpr KvShape kSmallShape{2, 3, 4};

class KvWriter : public engine::Model {
 public:
  // Writes tokens with a value of their own, and their positions added, and says that they are there.
  static void append(KvCache& cache, KvSequence& sequence, size_t n_tokens, float value) {
    ASSERT_TRUE(cache.reserve(sequence, n_tokens));
    for (size_t p = sequence.n_tokens(); p < sequence.n_tokens() + n_tokens; ++p) {
      write(cache, sequence, p, value + static_cast<float>(p));
    }
    advance(sequence, n_tokens);
  }
  // The value that all rows of token `p` hold, less p.
  static float value_at(KvCache& cache, const KvSequence& sequence, size_t p) {
    return read(cache, sequence, p) - static_cast<float>(p);
  }

  // As a model does: what is written depends on all tokens up to its own, and on nothing else. `tokens` is
  // the whole text; computes what is not there yet.
  static void fill(KvCache& cache, KvSequence& sequence, std::span<const TokenId> tokens) {
    const size_t n_more = tokens.size() - sequence.n_tokens();
    ASSERT_TRUE(cache.reserve(sequence, n_more));
    uint32_t state = state_of(tokens.first(sequence.n_tokens()));
    for (size_t p = sequence.n_tokens(); p < tokens.size(); ++p) {
      state = next_state(state, tokens[p]);
      write(cache, sequence, p, static_cast<float>(state >> 8));
    }
    advance(sequence, n_more);
  }
  // Whether every token that is there has the value it should have.
  static bool is_right(KvCache& cache, const KvSequence& sequence, std::span<const TokenId> tokens) {
    uint32_t state = 0;
    for (size_t p = 0; p < sequence.n_tokens(); ++p) {
      state = next_state(state, tokens[p]);
      if (read(cache, sequence, p) != static_cast<float>(state >> 8)) return false;
    }
    return true;
  }
  // Says that tokens are there without writing anything, for tests that count.
  static void pretend(KvSequence& sequence, size_t n_tokens) { advance(sequence, n_tokens); }

 private:
  static uint32_t next_state(uint32_t state, TokenId token) {
    return (state ^ static_cast<uint32_t>(token + 1)) * 2654435761u + 12345u;
  }
  static uint32_t state_of(std::span<const TokenId> tokens) {
    uint32_t state = 0;
    for (const TokenId token : tokens) state = next_state(state, token);
    return state;
  }

  template <typename F>
  static void for_rows(KvCache& cache, const KvSequence& sequence, size_t p, const F& f) {
    const KvShape& shape = cache.shape();
    const uint32_t block = sequence.blocks()[p / kBlockTokens];
    for (size_t layer = 0; layer < shape.n_layers; ++layer) {
      for (size_t head = 0; head < shape.n_kv_heads; ++head) {
        auto* const keys = reinterpret_cast<float*>(cache.keys(block, layer, head));
        auto* const values = reinterpret_cast<float*>(cache.values(block, layer, head));
        for (size_t i = 0; i < shape.d_head; ++i) {
          f(keys[i * kBlockTokens + p % kBlockTokens]);
          f(values[p % kBlockTokens * kBlockTokens + i]);  // a head of one panel
        }
      }
    }
  }
  static void write(KvCache& cache, const KvSequence& sequence, size_t p, float value) {
    for_rows(cache, sequence, p, [&](float& x) { x = value; });
  }
  static float read(KvCache& cache, const KvSequence& sequence, size_t p) {
    std::set<float> values;
    for_rows(cache, sequence, p, [&](float& x) { values.insert(x); });
    return values.size() == 1 ? *values.begin() : -1;
  }
};

}  // namespace tandem::testing
