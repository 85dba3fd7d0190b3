#include "worker/engine/constraint/constraint.h"

#include <gmock/gmock.h>

#include <limits>
#include <thread>

#include "tests/engine/constraint/json_check.h"
#include "tests/engine/constraint/random_text.h"

namespace tandem::engine {
namespace {

using tandem::testing::Json;

const Tokenizer& tiny() {
  static const auto tokenizer = Tokenizer::load("data/golden/models/qwen2-tiny-f32");
  EXPECT_TRUE(tokenizer);
  return *tokenizer;
}
std::shared_ptr<const TokenTrie> tiny_trie() {
  static const auto trie = TokenTrie::make(tiny());
  return trie;
}
Constraint of_regex(const std::string& pattern) {
  return Constraint(*grammar_of_regex(pattern), tiny_trie());
}
Constraint of_json(const std::string& schema) {
  return Constraint(*grammar_of_json(schema), tiny_trie());
}

// Draws allowed tokens until the end is drawn; nothing when that takes too long.
std::optional<std::string> random_answer(const Constraint& constraint, std::mt19937_64& random,
                                         int tokens_max) {
  Constraint::Progress progress;
  for (int n = 0; n < tokens_max; ++n) {
    if (constraint.must_end(progress)) return progress.text;
    if (constraint.may_end(progress) && random() % 4 == 0) return progress.text;
    const auto mask = constraint.mask(progress);
    EXPECT_TRUE(mask->size() > 0 || constraint.may_end(progress)) << "a dead end behind " << progress.text;
    std::vector<TokenId> allowed, closing;
    for (TokenId id = 0; static_cast<size_t>(id) < tiny().n_vocab(); ++id) {
      if (!mask->contains(id)) continue;
      allowed.push_back(id);
      const std::string_view bytes = tiny().token_bytes(id);
      if (bytes == "\"" || bytes == "]" || bytes == "}") closing.push_back(id);
    }
    EXPECT_EQ(allowed.size(), mask->size());
    if (allowed.empty()) return progress.text;
    EXPECT_EQ(allowed.front(), mask->first());
    const auto& from = !closing.empty() && random() % 2 == 0 ? closing : allowed;
    constraint.advance(progress, from[random() % from.size()]);
  }
  return std::nullopt;
}

TEST(TokenTrieTest, HasEveryTokenOfTextAndNoOther) {
  const auto trie = tiny_trie();
  std::vector<bool> seen(tiny().n_vocab());
  std::string path;
  for (const TokenTrie::Node& node : trie->nodes()) {
    path.resize(node.depth);
    path += static_cast<char>(node.byte);
    if (node.token < 0) continue;
    EXPECT_EQ(path, tiny().token_bytes(node.token));
    EXPECT_EQ(path, trie->bytes_of(node.token));
    seen[static_cast<size_t>(node.token)] = true;
  }
  for (size_t i = 0; i < seen.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    EXPECT_EQ(seen[i], !tiny().is_special(id) && !tiny().special_id(tiny().token_bytes(id))) << id;
    if (!seen[i]) {
      EXPECT_EQ(trie->bytes_of(id), "");
    }
  }
  EXPECT_EQ(trie->bytes_of(-1), "");
  EXPECT_EQ(trie->bytes_of(1 << 30), "");
}

// Both forms of a mask, at sizes around a word's border.
TEST(TokenMaskTest, LeavesTheLogitsOfItsTokensAlone) {
  for (const size_t n_vocab : {1u, 63u, 64u, 65u, 200u, 1000u}) {
    for (const size_t every : {1u, 3u, 50u, 1000u}) {
      std::vector<TokenId> ids;
      for (size_t i = 0; i < n_vocab; i += every) ids.push_back(static_cast<TokenId>(n_vocab - 1 - i));
      const TokenMask mask(ids, n_vocab);
      EXPECT_EQ(mask.size(), ids.size());
      EXPECT_EQ(mask.first(), ids.back());
      std::vector<float> logits(n_vocab + 70);
      for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i) - 30;
      mask.apply(logits);
      for (size_t i = 0; i < logits.size(); ++i) {
        const bool in = i < n_vocab && (n_vocab - 1 - i) % every == 0;
        ASSERT_EQ(mask.contains(static_cast<TokenId>(i)), in) << i;
        ASSERT_EQ(logits[i], in ? static_cast<float>(i) - 30 : -std::numeric_limits<float>::infinity()) << i;
      }
      EXPECT_FALSE(mask.contains(-1));
    }
  }
}

TEST(ConstraintTest, AllowsExactlyTheTokensThatCanGoOn) {
  const Constraint constraint = of_regex("(?:ab|你)c{2}");
  Automaton automaton(*grammar_of_regex("(?:ab|你)c{2}"));
  Constraint::Progress progress;
  for (const char* text : {"a", "b", "c", "c"}) {
    const auto mask = constraint.mask(progress);
    for (size_t i = 0; i < tiny().n_vocab(); ++i) {
      const auto id = static_cast<TokenId>(i);
      Automaton::State state = automaton.start();
      for (const char byte : progress.text + std::string(tiny().token_bytes(id))) {
        if (state != Automaton::kDead) state = automaton.step(state, static_cast<uint8_t>(byte));
      }
      EXPECT_EQ(mask->contains(id), state != Automaton::kDead && !tiny().is_special(id)) << id;
    }
    EXPECT_FALSE(constraint.may_end(progress));
    constraint.advance(progress, tiny().encode_plain(text).at(0));
  }
  EXPECT_TRUE(constraint.must_end(progress));
  EXPECT_EQ(constraint.mask(progress)->size(), 0u);
}

// A character in several tokens: what a byte-level vocabulary has for rare ones.
TEST(ConstraintTest, AllowsPartsOfCharacters) {
  const Constraint constraint = of_regex("😄+");
  std::mt19937_64 random(1);
  for (int i = 0; i < 20; ++i) {
    const auto text = random_answer(constraint, random, 200);
    ASSERT_TRUE(text);
    for (size_t at = 0; at < text->size(); at += 4) EXPECT_EQ(text->substr(at, 4), "😄");
  }
}

TEST(ConstraintTest, NeverAllowsSpecialTokensInside) {
  const Constraint constraint = of_regex("[^x]*");
  Constraint::Progress progress;
  const auto mask = constraint.mask(progress);
  EXPECT_TRUE(constraint.may_end(progress));
  EXPECT_FALSE(constraint.must_end(progress));
  for (const char* special : {"<|im_end|>", "<|im_start|>", "<|endoftext|>"}) {
    const auto id = tiny().special_id(special);
    ASSERT_TRUE(id);
    EXPECT_FALSE(mask->contains(*id));
  }
  EXPECT_GT(mask->size(), 200u);
}

TEST(ConstraintTest, RandomTokensUnderASchemaAreJsonThatFits) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  int n_answers = 0;
  for (int round = 0; round < 150; ++round) {
    const Json schema = tandem::testing::random_schema(random, 2, false);
    const Constraint constraint = of_json(schema.dump());
    for (int i = 0; i < 2; ++i) {
      const auto text = random_answer(constraint, random, 300);
      if (!text) continue;
      const Json value = Json::parse(*text, nullptr, false);
      ASSERT_FALSE(value.is_discarded()) << schema.dump() << "\n" << *text;
      ASSERT_EQ(tandem::testing::mismatch(schema, schema, value), "") << schema.dump() << "\n" << *text;
      ++n_answers;
    }
  }
  EXPECT_GT(n_answers, 200);
}

TEST(ConstraintTest, KeepsMasksOfStatesItHasSeen) {
  const Constraint constraint = of_regex("[a-z]*");
  Constraint::Progress progress;
  for (int i = 0; i < 10; ++i) {
    EXPECT_GT(constraint.mask(progress)->size(), 26u);
    constraint.advance(progress, tiny().encode_plain("a").at(0));
  }
  EXPECT_LE(constraint.stats().n_masks_made, 2u);
  EXPECT_GE(constraint.stats().n_masks_found, 8u);
}

// More states than masks are kept, back and forth: what was forgotten is found out again, the same.
TEST(ConstraintTest, FindsOutAgainWhatItForgot) {
  const Constraint constraint = of_regex("(a|b){1500}");
  const TokenId a = tiny().encode_plain("a").at(0);
  for (int round = 0; round < 2; ++round) {
    Constraint::Progress progress;
    for (int i = 0; i < 700; ++i) {
      const auto mask = constraint.mask(progress);
      ASSERT_TRUE(mask->contains(a));
      ASSERT_FALSE(mask->contains(tiny().encode_plain("c").at(0)));
      constraint.advance(progress, a);
    }
  }
  EXPECT_GT(constraint.stats().n_masks_made, 1200u);
}

// Several answers at once under a memory that holds a part of one of them: each finds its place again, and is
// told the same as with all the memory there is.
TEST(ConstraintTest, FindsItsPlaceAgainWhenItForgotAllStates) {
  const auto grammar = *grammar_of_json(R"({"type":"array","minItems":100})");
  const Constraint forgetful(grammar, tiny_trie(), 5000), whole(grammar, tiny_trie());
  std::mt19937_64 random(7);
  for (int round = 0; round < 5; ++round) {
    std::vector<Constraint::Progress> a(3), b(3);
    for (int step = 0; step < 60; ++step) {
      for (size_t i = 0; i < a.size(); ++i) {
        const auto mask = forgetful.mask(a[i]), same = whole.mask(b[i]);
        ASSERT_EQ(mask->size(), same->size());
        ASSERT_EQ(forgetful.may_end(a[i]), whole.may_end(b[i]));
        if (mask->size() == 0) continue;
        TokenId token = mask->first();
        for (int tries = 0; tries < 30; ++tries) {
          const auto other = static_cast<TokenId>(random() % tiny().n_vocab());
          ASSERT_EQ(mask->contains(other), same->contains(other));
          if (mask->contains(other)) token = other;
        }
        forgetful.advance(a[i], token);
        whole.advance(b[i], token);
      }
    }
  }
  EXPECT_GT(forgetful.stats().n_forgotten, 5u);
  EXPECT_EQ(whole.stats().n_forgotten, 0u);
}

TEST(ConstraintTest, IsSharedByThreads) {
  const Constraint constraint = of_json("");
  std::vector<std::thread> threads;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    threads.emplace_back([&constraint, seed] {
      std::mt19937_64 random(seed);
      for (int i = 0; i < 10; ++i) {
        const auto text = random_answer(constraint, random, 100);
        EXPECT_TRUE(!text || Json::accept(*text)) << *text;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace tandem::engine
