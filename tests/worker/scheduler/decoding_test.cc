#include "worker/scheduler/decoding.h"

#include <gmock/gmock.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <regex>

#include "tests/worker/support/tiny_model.h"

namespace tandem {
namespace {

using engine::TokenId;
using testing::TinyModel;
using Json = nlohmann::json;

constexpr float kOut = -std::numeric_limits<float>::infinity();

class DecodingTest : public ::testing::Test {
 protected:
  struct Answer {
    engine::Tokens tokens;
    std::string text, finish_reason;
    size_t n_steps = 0, n_rows = 0;  // through the model
  };

  // A sequence alone, as the inference loop runs it: guesses are looked at in one step, and forgotten behind
  // the first that was wrong.
  Answer run(const engine::Tokens& prompt, const DecodeWork& work) {
    engine::KvCache cache = tiny_.make_kv(64);
    engine::KvSequence kv = cache.make_sequence();
    Decoding decoding(work, tiny_.tokenizer, tiny_.model->config().end_tokens);
    engine::Tokens history = prompt, row = prompt;
    engine::Logits logits;
    Answer answer;
    while (answer.finish_reason.empty()) {
      const size_t n_logits = answer.n_steps == 0 ? 1 : row.size();
      EXPECT_TRUE(cache.reserve(kv, row.size()));
      EXPECT_LE(kv.n_tokens() + row.size(), prompt.size() + work.tokens_max) << "never beyond its room";
      const engine::BatchRow batch{.kv = &kv, .tokens = row, .n_logits = n_logits};
      tiny_.model->forward({&batch, 1}, cache, logits);
      ++answer.n_steps;
      answer.n_rows += row.size();
      std::string streamed;
      for (size_t i = 0; i < n_logits; ++i) {
        const Decoding::Step step = decoding.next(logits[i], history);
        answer.text += step.text;
        answer.finish_reason = step.finish_reason;
        if (!step.guessed || !step.finish_reason.empty()) break;
        EXPECT_LT(i + 1, n_logits) << "a guess has logits behind it";
      }
      if (!answer.finish_reason.empty()) break;
      cache.truncate(kv, history.size() - 1);
      row.assign(1, history.back());
      const engine::Tokens guess = decoding.guess(history, 6);
      row.insert(row.end(), guess.begin(), guess.end());
    }
    EXPECT_EQ(answer.text, decoding.text());
    answer.tokens.assign(history.begin() + static_cast<std::ptrdiff_t>(prompt.size()), history.end());
    return answer;
  }

  std::shared_ptr<const engine::Constraint> held_to(Result<std::shared_ptr<const engine::Grammar>> grammar) {
    EXPECT_TRUE(grammar) << grammar.error().text;
    static const auto trie = engine::TokenTrie::make(tiny_.tokenizer);
    return std::make_shared<const engine::Constraint>(*grammar, trie);
  }

  static DecodeWork work(uint32_t tokens_max, double temperature = 0, uint64_t seed = 0) {
    DecodeWork made;
    made.tokens_max = tokens_max;
    made.sampler.temperature = temperature;
    made.sampler.seed = seed;
    return made;
  }

  TinyModel& tiny_ = TinyModel::get();
};

TEST_F(DecodingTest, AChoiceIsAnsweredWithOneOfItsTexts) {
  const std::vector<std::string> choices{"yes", "no", "yes please", "不知道"};
  DecodeWork one = work(40);
  one.constraint = held_to(engine::grammar_of_choice(choices));
  for (const auto& golden : tiny_.decodes) {
    for (uint64_t seed = 0; seed < 10; ++seed) {
      one.sampler.temperature = seed == 0 ? 0 : 2;
      one.sampler.seed = seed;
      const Answer answer = run(golden.prompt, one);
      EXPECT_THAT(choices, ::testing::Contains(answer.text));
      EXPECT_EQ(answer.finish_reason, "stop");
    }
  }
}

TEST_F(DecodingTest, ARegexHoldsForEveryAnswer) {
  const std::string pattern = "[A-Z][a-z]{2,8}( [a-z]{1,6}){1,3}[.!]";
  DecodeWork one = work(200);
  one.constraint = held_to(engine::grammar_of_regex(pattern));
  const std::regex checker(pattern);
  for (const auto& golden : tiny_.decodes) {
    for (uint64_t seed = 0; seed < 10; ++seed) {
      one.sampler.temperature = seed == 0 ? 0 : 1;
      one.sampler.seed = seed;
      const Answer answer = run(golden.prompt, one);
      EXPECT_TRUE(std::regex_match(answer.text, checker)) << answer.text;
    }
  }
}

TEST_F(DecodingTest, JsonUnderASchemaParses) {
  DecodeWork one = work(300, 1);
  one.constraint =
      held_to(engine::grammar_of_json(R"({"type":"object","required":["mood","stars"],"properties":{
      "mood":{"enum":["good","bad"]},"stars":{"type":"integer","minimum":1,"maximum":5},
      "words":{"type":"array","maxItems":3,"items":{"type":"string","maxLength":12}}}})"));
  for (const auto& golden : tiny_.decodes) {
    for (uint64_t seed = 1; seed < 11; ++seed) {
      one.sampler.seed = seed;
      const Answer answer = run(golden.prompt, one);
      ASSERT_EQ(answer.finish_reason, "stop") << answer.text;
      const Json value = Json::parse(answer.text, nullptr, false);
      ASSERT_TRUE(value.is_object()) << answer.text;
      EXPECT_THAT((std::vector<std::string>{"good", "bad"}), ::testing::Contains(value.at("mood")));
      EXPECT_GE(value.at("stars"), 1);
      EXPECT_LE(value.at("stars"), 5);
      if (!value.contains("words")) continue;
      EXPECT_LE(value["words"].size(), 3u);
    }
  }
}

// The brace that closes the object is the end: no step for an end token.
TEST_F(DecodingTest, EndsWhenNothingCanFollow) {
  DecodeWork one = work(40);
  one.constraint = held_to(engine::grammar_of_choice(std::vector<std::string>{"yes", "no"}));
  const Answer answer = run(tiny_.find("p5").prompt, one);
  EXPECT_EQ(answer.finish_reason, "stop");
  for (const TokenId token : answer.tokens) EXPECT_FALSE(tiny_.tokenizer.is_special(token));
  EXPECT_EQ(tiny_.tokenizer.decode(answer.tokens), answer.text);
}

TEST_F(DecodingTest, AnAnswerThatIsCutSaysLength) {
  DecodeWork one = work(5);
  one.constraint = held_to(engine::grammar_of_regex("[a-z]{100}"));
  const Answer answer = run(tiny_.find("p5").prompt, one);
  EXPECT_EQ(answer.finish_reason, "length");
  EXPECT_EQ(answer.tokens.size(), 5u);
}

TEST_F(DecodingTest, TheSameSeedGivesTheSameAnswerUnderAConstraint) {
  DecodeWork one = work(60, 1.5, 77);
  one.constraint = held_to(engine::grammar_of_json(""));
  const Answer first = run(tiny_.find("p4").prompt, one), again = run(tiny_.find("p4").prompt, one);
  EXPECT_EQ(first.tokens, again.tokens);
  one.constraint = held_to(engine::grammar_of_json(""));  // one that remembers nothing yet
  EXPECT_EQ(run(tiny_.find("p4").prompt, one).tokens, first.tokens);
}

// Settings that could forbid all that is allowed, and a model that says nothing of use.
TEST_F(DecodingTest, KeepsTheShapeWhateverTheLogitsAre) {
  DecodeWork one = work(100);
  one.sampler.no_repeat_ngram = 1;
  one.sampler.repetition_penalty = 10;
  one.constraint = held_to(engine::grammar_of_regex("(ab){12}"));
  const size_t n_vocab = tiny_.model->config().n_vocab;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float value : {0.0f, kOut, nan, -kOut}) {
    for (const double temperature : {0.0, 1.0}) {
      one.sampler.temperature = temperature;
      Decoding decoding(one, tiny_.tokenizer, tiny_.model->config().end_tokens);
      engine::Tokens history{1, 2, 3};
      std::string finish_reason;
      while (finish_reason.empty()) {
        std::vector<float> logits(n_vocab, value);
        finish_reason = decoding.next(logits, history).finish_reason;
      }
      EXPECT_EQ(finish_reason, "stop");
      EXPECT_EQ(decoding.text(), "abababababababababababab");
    }
  }
}

// ---- guesses ---------------------------------------------------------------------------------------------

// Prompts that repeat, so that there is something to copy; greedy and sampled; with stops and constraints.
TEST_F(DecodingTest, GuessingChangesNoToken) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  size_t n_steps = 0, n_tokens = 0;
  for (int round = 0; round < 60; ++round) {
    engine::Tokens prompt = tiny_.decodes[random() % tiny_.decodes.size()].prompt;
    if (prompt.size() > 80) prompt.resize(80);
    const engine::Tokens again = prompt;
    for (size_t n = random() % 3; n > 0; --n) prompt.insert(prompt.end(), again.begin(), again.end());
    DecodeWork plain = work(1 + static_cast<uint32_t>(random() % 60), round % 2 == 0 ? 0 : 0.7, random());
    if (round % 3 == 0) plain.stop = {"a", "\n"};
    if (round % 5 == 0) plain.constraint = held_to(engine::grammar_of_json(""));
    if (round % 4 == 0) plain.sampler.repetition_penalty = 1.1;
    DecodeWork guessing = plain;
    guessing.speculate = true;
    const Answer one = run(prompt, plain), other = run(prompt, guessing);
    ASSERT_EQ(one.tokens, other.tokens) << "round " << round;
    ASSERT_EQ(one.text, other.text);
    ASSERT_EQ(one.finish_reason, other.finish_reason);
    ASSERT_LE(other.n_steps, one.n_steps);
    n_steps += other.n_steps;
    n_tokens += one.n_steps;
  }
  EXPECT_LT(n_steps, n_tokens) << "some guesses are right";
}

// A decode in a loop copies itself: nearly every guess is right.
TEST_F(DecodingTest, GuessingSavesStepsWhereTheAnswerCopies) {
  DecodeWork guessing = work(400);
  const Answer plain = run(tiny_.find("p3").prompt, guessing);
  guessing.speculate = true;
  const Answer fast = run(tiny_.find("p3").prompt, guessing);
  EXPECT_EQ(plain.tokens, fast.tokens);
  EXPECT_LT(fast.n_steps * 4, plain.n_steps * 3);
}

}  // namespace
}  // namespace tandem
