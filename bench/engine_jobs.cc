#include <algorithm>
#include <random>

#include "bench/engine_parts.h"
#include "bench/median.h"
#include "worker/engine/tokenizer/tokenizer.h"
#include "worker/scheduler/inference_loop.h"

namespace tandem::bench {
namespace {

using engine::TokenId;
using engine::Tokens;

// As in the shipped tasks with the real tokenizer: what comes before the text, the text, and what comes
// behind it.
constexpr size_t kBefore = 45, kText = 30, kBehind = 5;
constexpr size_t kTexts = 64, kAtOnce = 16, kReply = 32;

class JobBench {
 public:
  JobBench(engine::Model& model, const engine::Tokenizer& tokenizer, engine::KvCache kv)
      : n_vocab_(model.config().n_vocab),
        loop_(model, tokenizer, std::move(kv),
              {.n_blocks = kBlocks, .sequences_max = kAtOnce, .batch_tokens_max = 512, .positions_max = 1024},
              clock_, inbox_, [this](FromInference news) {
                if (auto* done = std::get_if<SequenceDone>(&news)) hear(std::move(*done));
              }) {
    loop_.warm_up();
    for (Tokens* fixed : {&sentiment_, &reply_}) *fixed = some(kBefore);
    behind_ = some(kBehind);
    for (const Tokens& fixed : {sentiment_, reply_}) inbox_.push(PrimePrefix{fixed});
    run();
  }
  static constexpr size_t kBlocks = 256;

  // Texts per second. Each text is a new one, so nothing is known of it.
  double sentiment() { return texts_per_second(false); }
  double both() { return texts_per_second(true); }

  // Four tasks that put one text of 200 tokens first: prompt tokens computed, as a share of all.
  double sharing() {
    const Tokens before = some(20), text = some(200);
    clear();
    for (int task = 0; task < 4; ++task) {
      Tokens prompt = before;
      for (const Tokens& part : {text, some(20), behind_})
        prompt.insert(prompt.end(), part.begin(), part.end());
      push(std::move(prompt), score());
    }
    run();
    return static_cast<double>(computed_) / static_cast<double>(prompted_);
  }

  double computed_per_text() const { return static_cast<double>(computed_) / kTexts; }
  double drawn_per_text() const { return static_cast<double>(drawn_) / kTexts; }

 private:
  Tokens some(size_t n) {
    Tokens tokens(n);
    for (TokenId& token : tokens)
      token = static_cast<TokenId>(random_() % std::min<size_t>(n_vocab_, 150'000));
    return tokens;
  }
  Tokens prompt_of(const Tokens& before, const Tokens& text) {
    Tokens prompt = before;
    prompt.insert(prompt.end(), text.begin(), text.end());
    prompt.insert(prompt.end(), behind_.begin(), behind_.end());
    return prompt;
  }
  static DecodeWork reply() {
    DecodeWork work;
    work.sampler.temperature = 0;
    work.tokens_max = kReply;
    return work;
  }
  static ScoreWork score() { return {.paths = {{}}, .wanted = {{10, 20}}}; }

  double texts_per_second(bool with_reply) {
    clear();
    std::vector<Tokens> texts;
    for (size_t i = 0; i < kTexts; ++i) texts.push_back(some(kText));
    const double seconds = seconds_of([&] {
      for (const Tokens& text : texts) {
        push(prompt_of(sentiment_, text), score());
        if (with_reply) push(prompt_of(reply_, text), reply());
      }
      run();
    });
    return kTexts / seconds;
  }

  void push(Tokens prompt, std::variant<ScoreWork, DecodeWork> work) {
    inbox_.push(SequenceRequest{next_id_++, std::move(prompt), std::move(work), clock_.now()});
  }
  void run() {
    while (loop_.step()) {
    }
  }
  void clear() { computed_ = prompted_ = drawn_ = 0; }
  void hear(SequenceDone done) {
    computed_ += done.prompt_tokens - done.cached_tokens;
    prompted_ += done.prompt_tokens;
    drawn_ += done.completion_tokens;
  }

  size_t n_vocab_;
  std::mt19937 random_{1};
  SystemClock clock_;
  Inbox<ToInference> inbox_;
  InferenceLoop loop_;
  Tokens sentiment_, reply_, behind_;
  SequenceId next_id_ = 1;
  uint64_t computed_ = 0, prompted_ = 0, drawn_ = 0;
};

}  // namespace

Result<void> measure_jobs(engine::Model& model, const EngineOptions& options, Report& report) {
  TANDEM_ASSIGN(const engine::Tokenizer tokenizer, engine::Tokenizer::load(options.model));
  TANDEM_ASSIGN(engine::KvCache kv, engine::KvCache::create(model.kv_shape(), JobBench::kBlocks));
  JobBench jobs(model, tokenizer, std::move(kv));
  const std::string type(name_of(model.compute()));
  const size_t n_rounds = std::max<size_t>(options.n_rounds / 2, 1);
  const auto median_of = [&](const auto& measure) {
    std::vector<double> rates;
    for (size_t i = 0; i < n_rounds; ++i) rates.push_back(measure());
    return median(rates);
  };
  const double sentiment = median_of([&] { return jobs.sentiment(); });
  report.add(
      {"e2e.sentiment." + type, sentiment, "texts/s", std::nullopt,
       fmt::format("64 texts of 30 tokens, 16 at a time; {:.0f} computed each", jobs.computed_per_text())});
  const double both = median_of([&] { return jobs.both(); });
  report.add({"e2e.both." + type + ".16", both, "texts/s", std::nullopt,
              fmt::format("and a reply of 32 tokens; {:.0f} computed and {:.0f} drawn each",
                          jobs.computed_per_text(), jobs.drawn_per_text())});
  report.add({"sharing." + type, jobs.sharing(), "share of prompt tokens", std::nullopt,
              "computed by four tasks over one text of 200 tokens"});
  return {};
}

}  // namespace tandem::bench
