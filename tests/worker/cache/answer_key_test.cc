#include <functional>
#include <map>

#include "tests/worker/cache/support.h"

namespace tandem {
namespace {

using namespace tandem::testing;

// All that goes into a key, to be changed one by one.
struct Parts {
  std::string model = "model", tokenizer = "tokenizer", space = "space";
  Task task;
  engine::Tokens prompt{1, 2, 3};
  DecodeSettings decode;

  Parts() {
    task.fingerprint = "task";
    decode.sampler.temperature = 0.7;
    decode.sampler.seed = 5;
    decode.tokens_max = 10;
    decode.stop = {"a", "b"};
  }
  Hash128 key() const { return answer_key({model, tokenizer, &task, &prompt, &decode, space}); }
};

Hash128 changed(const std::function<void(Parts&)>& change) {
  Parts parts;
  change(parts);
  return parts.key();
}

TEST(AnswerKey, ChangesWithEveryPart) {
  const std::map<std::string, std::function<void(Parts&)>> changes = {
      {"nothing", [](Parts&) {}},
      {"model", [](Parts& p) { p.model = "other"; }},
      {"tokenizer", [](Parts& p) { p.tokenizer = "other"; }},
      {"namespace", [](Parts& p) { p.space = "other"; }},
      {"no namespace", [](Parts& p) { p.space = ""; }},
      {"task", [](Parts& p) { p.task.fingerprint = "other"; }},
      {"scored", [](Parts& p) { p.task.answer = AnswerKind::kLabel; }},
      {"a token", [](Parts& p) { p.prompt[1] = 4; }},
      {"order of tokens",
       [](Parts& p) {
         p.prompt = {2, 1, 3};
       }},
      {"one token more", [](Parts& p) { p.prompt.push_back(0); }},
      {"one token less", [](Parts& p) { p.prompt.pop_back(); }},
      {"temperature", [](Parts& p) { p.decode.sampler.temperature = 0.8; }},
      {"greedy", [](Parts& p) { p.decode.sampler.temperature = 0; }},
      {"top_k", [](Parts& p) { p.decode.sampler.top_k = 5; }},
      {"top_p", [](Parts& p) { p.decode.sampler.top_p = 0.5; }},
      {"min_p", [](Parts& p) { p.decode.sampler.min_p = 0.5; }},
      {"repetition", [](Parts& p) { p.decode.sampler.repetition_penalty = 1.5; }},
      {"ngram", [](Parts& p) { p.decode.sampler.no_repeat_ngram = 2; }},
      {"seed", [](Parts& p) { p.decode.sampler.seed = 6; }},
      {"tokens_max", [](Parts& p) { p.decode.tokens_max = 11; }},
      {"stop",
       [](Parts& p) {
         p.decode.stop = {"a", "c"};
       }},
      {"one stop", [](Parts& p) { p.decode.stop = {"a"}; }},
      {"joined stop", [](Parts& p) { p.decode.stop = {"ab"}; }},
      {"bytes moved", [](Parts& p) { p.model = "modelt", p.tokenizer = "okenizer"; }},
  };
  std::map<Hash128, std::string> seen;
  for (const auto& [what, change] : changes) {
    const auto [other, is_new] = seen.emplace(changed(change), what);
    EXPECT_TRUE(is_new) << what << " has the key of " << other->second;
  }
}

TEST(AnswerKey, IsTheSameForTheSameMeaning) {
  const Hash128 key = Parts().key();
  EXPECT_EQ(changed([](Parts& p) { p.decode.stop = {"b", "a", "b"}; }), key) << "stop strings are a set";
  EXPECT_EQ(changed([](Parts& p) { p.task.description = "words"; }), key);
  EXPECT_EQ(changed([](Parts& p) { p.task.cache_ttl = std::chrono::seconds(9); }), key);

  const auto greedy = [](Parts& p) { p.decode.sampler.temperature = 0; };
  EXPECT_EQ(changed([&](Parts& p) { greedy(p), p.decode.sampler.seed = 9; }), changed(greedy));
  EXPECT_EQ(changed([&](Parts& p) { greedy(p), p.decode.sampler.top_p = 0.1; }), changed(greedy));
  EXPECT_EQ(changed([&](Parts& p) { greedy(p), p.decode.sampler.temperature = -0.0; }), changed(greedy));
}

// A scored label comes from the prompt alone, whatever the job says about decoding.
TEST(AnswerKey, OfAScoredLabelHasNoDecodeSettings) {
  const auto scored = [](Parts& p) { p.task.answer = AnswerKind::kLabel; };
  EXPECT_EQ(changed([&](Parts& p) { scored(p), p.decode.sampler.temperature = 2; }), changed(scored));
  const auto generated = [&](Parts& p) { scored(p), p.task.method = LabelMethod::kGenerate; };
  EXPECT_NE(changed([&](Parts& p) { generated(p), p.decode.sampler.temperature = 2; }), changed(generated));
}

// Keys are in files that outlive this build: this one must never change without a new format.
TEST(AnswerKey, StaysTheSameFromBuildToBuild) {
  EXPECT_EQ(Parts().key().to_hex(), "e8f9787b1b6ecbc7d34bef6808440911");
}

// ---- what may be kept ------------------------------------------------------------------------------------

TEST(WorthCaching, AreGoodAnswersOnly) {
  EXPECT_TRUE(worth_caching(text_answer("hello")));
  EXPECT_TRUE(worth_caching(text_answer(""))) << "an empty answer is an answer";
  for (const char* reason : {"length", "repetition", "cancelled", ""}) {
    TaskResult result = text_answer("hello");
    result.text->finish_reason = reason;
    EXPECT_FALSE(worth_caching(result)) << reason;
  }
  EXPECT_FALSE(worth_caching(text_answer("I'm sorry, but I cannot help with that.")));
  EXPECT_FALSE(worth_caching(text_answer("抱歉，我无法回答这个问题。")));
  EXPECT_TRUE(worth_caching(text_answer("I'm sorry to hear that.")));

  TaskResult failed = text_answer("x");
  failed.text.reset();
  EXPECT_FALSE(worth_caching(failed)) << "no outcome at all";
  failed.error = Error{ErrorCode::kInternal, "x"};
  EXPECT_FALSE(worth_caching(failed));
}

TEST(WorthCaching, AreLabelsThatWereUnderstood) {
  TaskResult result = text_answer("");
  result.text.reset();
  result.label.emplace().label = "positive";
  EXPECT_TRUE(worth_caching(result));
  result.label.emplace().reason = "abstained";
  EXPECT_TRUE(worth_caching(result)) << "the model would abstain again";
  result.label.emplace().reason = "unparsed";
  EXPECT_FALSE(worth_caching(result));
}

// Storing a hit again would renew its age, and a wrong answer would live for ever.
TEST(WorthCaching, AreAnswersOfTheModelItself) {
  TaskResult result = text_answer("hello");
  result.source = AnswerSource::kExact;
  EXPECT_FALSE(worth_caching(result));
  result.source = AnswerSource::kSemantic;
  EXPECT_FALSE(worth_caching(result));
}

}  // namespace
}  // namespace tandem
