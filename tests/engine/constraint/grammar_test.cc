#include "worker/engine/constraint/grammar.h"

#include <gmock/gmock.h>

#include "tests/engine/constraint/random_text.h"

namespace tandem::engine {
namespace {

using tandem::testing::fits;
using ::testing::HasSubstr;

std::shared_ptr<const Grammar> built(const std::vector<Expression>& rules) {
  auto grammar = Grammar::build(rules);
  EXPECT_TRUE(grammar) << grammar.error().text;
  return *grammar;
}
std::string mistake(const std::vector<Expression>& rules) {
  const auto grammar = Grammar::build(rules);
  return grammar ? "" : grammar.error().text;
}
Expression byte(char c) {
  return bytes(std::string(1, c));
}

TEST(GrammarTest, AChoiceIsExactlyOneOfItsTexts) {
  const std::vector<std::string> texts{"yes", "no", "yes please", "好"};
  const auto grammar = grammar_of_choice(texts);
  ASSERT_TRUE(grammar);
  for (const std::string& text : texts) EXPECT_TRUE(fits(*grammar, text)) << text;
  for (const char* text : {"", "y", "yesno", "yes ", "yes please ", "\xE5\xA5"})
    EXPECT_FALSE(fits(*grammar, text)) << text;
}

TEST(GrammarTest, AChoiceOfNothingIsAMistake) {
  EXPECT_THAT(grammar_of_choice({}).error().text, HasSubstr("expected 1 to 4096 choices, found 0"));
  EXPECT_THAT(grammar_of_choice(std::vector<std::string>{"a", ""}).error().text,
              HasSubstr("found an empty one"));
  EXPECT_FALSE(grammar_of_choice(std::vector<std::string>{"\xFF"}));
  EXPECT_FALSE(grammar_of_choice(std::vector<std::string>(5000, "a")));
}

// Balanced brackets: no finite automaton can do that.
TEST(GrammarTest, RulesMayCallThemselvesBehindAByte) {
  const auto grammar = built({choice({sequence({byte('('), call(0), byte(')')}), byte('x')})});
  EXPECT_TRUE(fits(grammar, "x"));
  EXPECT_TRUE(fits(grammar, "(((x)))"));
  EXPECT_FALSE(fits(grammar, "(((x))"));
  EXPECT_FALSE(fits(grammar, "((x)))"));
}

// At the deepest level only what needs no deeper one is allowed: there is no way into a dead end.
TEST(GrammarTest, AllowsNoDepthFromWhichItCouldNotComeBack) {
  const auto grammar = built({choice({sequence({byte('('), call(0), byte(')')}), byte('x')})});
  const std::string deepest(Grammar::kDepthMax, '(');
  EXPECT_TRUE(fits(grammar, deepest + "x" + std::string(Grammar::kDepthMax, ')')));
  Automaton automaton(grammar);
  Automaton::State state = automaton.start();
  for (const char c : deepest) state = automaton.step(state, static_cast<uint8_t>(c));
  ASSERT_NE(state, Automaton::kDead);
  EXPECT_EQ(automaton.step(state, '('), Automaton::kDead);
  EXPECT_NE(automaton.step(state, 'x'), Automaton::kDead);
}

TEST(GrammarTest, ACallAtTheEndNeedsNoDepth) {
  const auto grammar = built({sequence({byte('a'), choice({call(0), byte('.')})})});
  EXPECT_TRUE(fits(grammar, std::string(10'000, 'a') + "."));
}

TEST(GrammarTest, WaysThatLeadNowhereAreNotThere) {
  const Expression nothing = choice({});
  const auto grammar = built({choice({sequence({bytes("ab"), nothing}), bytes("ac")})});
  Automaton automaton(grammar);
  const Automaton::State a = automaton.step(automaton.start(), 'a');
  EXPECT_EQ(automaton.step(a, 'b'), Automaton::kDead);
  EXPECT_TRUE(fits(grammar, "ac"));
  EXPECT_TRUE(automaton.is_final(automaton.step(a, 'c')));
}

TEST(GrammarTest, WhatNoTextFitsIsAMistake) {
  EXPECT_THAT(mistake({choice({})}), HasSubstr("found one that none does"));
  EXPECT_THAT(mistake({sequence({byte('a'), call(0)})}), HasSubstr("found one that none does"));
}

TEST(GrammarTest, ARuleThatBeginsWithItselfIsAMistake) {
  EXPECT_THAT(mistake({choice({call(0), byte('a')})}), HasSubstr("in front of each reference to itself"));
  // Through another rule, and behind one that may be empty.
  EXPECT_THAT(mistake({choice({sequence({call(1), call(0)}), byte('a')}), optional(byte('b'))}),
              HasSubstr("in front of each reference to itself"));
  EXPECT_EQ(mistake({choice({sequence({call(1), call(0)}), byte('a')}), byte('b')}), "");
}

TEST(GrammarTest, RepeatsCountExactly) {
  for (const auto& [min, max] : {std::pair{0u, 0u}, {0u, 1u}, {0u, 3u}, {1u, 1u}, {2u, 5u}, {3u, 3u}}) {
    for (const char* const body : {"a", "ab"}) {
      const auto grammar = built({sequence({repeat(bytes(body), min, max), byte('.')})});
      for (uint32_t n = 0; n < 8; ++n) {
        std::string text;
        for (uint32_t i = 0; i < n; ++i) text += body;
        EXPECT_EQ(fits(grammar, text + "."), min <= n && n <= max) << text << " " << min << " " << max;
      }
    }
  }
  const auto two_or_more = built({repeat(bytes("ab"), 2, Expression::kUnbounded)});
  EXPECT_FALSE(fits(two_or_more, "ab"));
  EXPECT_TRUE(fits(two_or_more, "abababab"));
}

TEST(GrammarTest, ABigRepeatOfSomethingLongIsSmall) {
  const auto grammar = built({repeat(repeat(bytes("hello "), 0, 1000), 1000, 1000)});
  EXPECT_LT(grammar->nodes.size(), 10'000u);
  EXPECT_THAT(mistake({repeat(byte('a'), 0, 1'000'000)}),
              HasSubstr("expected a shape of at most 131072 nodes"));
}

// (a|b)*a(a|b){20} has a million states; only those that are reached are made.
TEST(AutomatonTest, MakesOnlyTheStatesThatAreReached) {
  const Expression ab = choice({byte('a'), byte('b')});
  Automaton automaton(
      built({sequence({repeat(ab, 0, Expression::kUnbounded), byte('a'), repeat(ab, 20, 20)})}));
  const std::string text = "bbabbbbbbbbbbbbbbbbbbbb";
  EXPECT_TRUE(fits(automaton, text));
  EXPECT_FALSE(fits(automaton, text + "b"));
  EXPECT_LT(automaton.n_states(), 100u);
}

TEST(AutomatonTest, KnowsTheSameTextsAfterItForgotEverything) {
  Automaton automaton(built({sequence({byte('['), repeat(bytes("x,"), 0, 9), byte(']')})}));
  EXPECT_TRUE(fits(automaton, "[x,x,]"));
  const size_t n_states = automaton.n_states();
  automaton.clear();
  EXPECT_EQ(automaton.n_states(), 1u);
  EXPECT_TRUE(fits(automaton, "[x,x,]"));
  EXPECT_FALSE(fits(automaton, "[xx,]"));
  EXPECT_GE(automaton.n_states(), n_states);
}

// Two readings of each bracket: 2^40 ways after 40 of them. It forgets ways, but finds an end.
TEST(AutomatonTest, StaysSmallWhenATextCanBeReadInTooManyWays) {
  const auto grammar = built({choice(
      {sequence({byte('('), call(0), byte(')')}), sequence({byte('('), call(0), bytes("]")}), byte('x')})});
  Automaton automaton(grammar);
  Automaton::State state = automaton.start();
  for (int i = 0; i < 40; ++i) {
    state = automaton.step(state, '(');
    ASSERT_NE(state, Automaton::kDead);
    ASSERT_LE(automaton.n_threads(state), Automaton::kThreadsMax);
  }
  state = automaton.step(state, 'x');
  for (int i = 0; i < 40; ++i) {
    ASSERT_NE(state, Automaton::kDead);
    const Automaton::State round = automaton.step(state, ')');
    state = round != Automaton::kDead ? round : automaton.step(state, ']');
  }
  EXPECT_TRUE(automaton.is_final(state));
}

}  // namespace
}  // namespace tandem::engine
