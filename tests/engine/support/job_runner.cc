#include "tests/engine/support/job_runner.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <random>

#include "shared/base/assert.h"
#include "tests/engine/support/golden.h"

namespace tandem::testing {
namespace {

using engine::BatchRow;
using engine::KvCache;
using engine::KvSequence;
using engine::TokenId;
using engine::Tokens;

constexpr size_t kPromptMax = 200;

struct Running {
  size_t job = 0;
  KvSequence sequence;
  Tokens tokens;          // prompt and what was decoded
  size_t n_done = 0;      // tokens that the model has seen
  size_t n_in_batch = 0;  // tokens in the step under way
};

class Runner {
 public:
  Runner(engine::Model& model, engine::KvType type, const std::vector<DecodingJob>& jobs,
         const Batching& batching)
      : model_(model),
        jobs_(jobs),
        batching_(batching),
        random_(batching.seed),
        kv_(must(KvCache::create(model.kv_shape(type), 8 * (jobs.size() + 4)))),
        answers_(jobs.size()),
        queue_(jobs.size()) {
    std::iota(queue_.rbegin(), queue_.rend(), size_t{0});
    if (batching.seed != 0) std::shuffle(queue_.begin(), queue_.end(), random_);
  }

  JobLogits run() {
    while (!queue_.empty() || !running_.empty()) {
      while (!queue_.empty() && running_.size() < batching_.n_jobs_max) admit();
      step();
    }
    return std::move(answers_);
  }

 private:
  void admit() {
    Running one;
    one.job = queue_.back();
    queue_.pop_back();
    const DecodingJob& job = jobs_[one.job];
    one.tokens = job.prompt;
    one.sequence = kv_.make_sequence();
    if (batching_.share_prefix && job.n_prefix > 0) {
      one.sequence = must(kv_.fork(prefix_of(job), job.n_prefix));
      one.n_done = job.n_prefix;
    }
    if (batching_.from_cache) {
      one.sequence = kv_.begin_with(job.prompt);
      one.n_done = one.sequence.n_tokens();
    }
    TANDEM_ASSERT(kv_.reserve(one.sequence, job.prompt.size() + job.n_decoded), "there are blocks for all");
    running_.push_back(std::move(one));
  }

  const KvSequence& prefix_of(const DecodingJob& job) {
    const auto [found, is_new] = prefixes_.try_emplace(job.prefix, kv_.make_sequence());
    if (is_new) {
      TANDEM_ASSERT(kv_.reserve(found->second, job.n_prefix), "there are blocks for all");
      const BatchRow row{&found->second, std::span(job.prompt).first(job.n_prefix), 0};
      engine::Logits logits;
      model_.forward({&row, 1}, kv_, logits);
    }
    return found->second;
  }

  void step() {
    std::vector<BatchRow> batch;
    for (Running& one : running_) {
      const size_t n_left = one.tokens.size() - one.n_done;
      one.n_in_batch = n_left;
      if (batching_.n_piece_max != 0)
        one.n_in_batch = std::min(n_left, 1 + random_() % batching_.n_piece_max);
      BatchRow row{&one.sequence, std::span(one.tokens).subspan(one.n_done, one.n_in_batch), 0};
      row.n_logits = batching_.all_logits ? one.n_in_batch : one.n_in_batch == n_left ? 1 : 0;
      if (batching_.only_wanted && one.tokens.size() == jobs_[one.job].prompt.size()) {
        row.wanted = jobs_[one.job].wanted;
      }
      batch.push_back(row);
    }
    engine::Logits logits;
    std::vector<std::vector<float>> hidden;
    if (batching_.with_hidden) {
      model_.forward_with_hidden(batch, kv_, logits, hidden);
    } else {
      model_.forward(batch, kv_, logits);
    }

    size_t n_places = 0;
    for (size_t i = 0; i < batch.size(); ++i) {
      n_places += batch[i].n_logits;
      Running& one = running_[i];
      one.n_done += one.n_in_batch;
      if (batching_.from_cache) kv_.publish(one.sequence, std::span(one.tokens).first(one.n_done));
      if (one.n_done == one.tokens.size()) keep(one, logits[n_places - 1]);
    }
    std::erase_if(running_, [](const Running& one) { return one.n_done == one.tokens.size(); });
  }

  // Takes the logits behind the last token, and goes on with the best one unless the job is done.
  void keep(Running& one, std::span<const float> logits) {
    const DecodingJob& job = jobs_[one.job];
    answers_[one.job].insert(answers_[one.job].end(), logits.begin(), logits.end());
    if (one.tokens.size() == job.prompt.size() + job.n_decoded) return;
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    const bool few = batching_.only_wanted && one.tokens.size() == job.prompt.size();
    one.tokens.push_back(few ? job.wanted[static_cast<size_t>(best)] : static_cast<TokenId>(best));
  }

  engine::Model& model_;
  const std::vector<DecodingJob>& jobs_;
  const Batching& batching_;
  std::mt19937 random_;
  KvCache kv_;
  JobLogits answers_;
  std::vector<size_t> queue_;  // the next one is at the end
  std::vector<Running> running_;
  std::map<size_t, KvSequence> prefixes_;
};

}  // namespace

std::vector<DecodingJob> random_jobs(uint32_t seed, size_t n_jobs, size_t n_vocab) {
  std::mt19937 random(seed);
  const auto below = [&](size_t n) { return random() % n; };
  const auto some_tokens = [&](size_t n) {
    Tokens tokens(n);
    for (TokenId& token : tokens) token = static_cast<TokenId>(below(n_vocab));
    return tokens;
  };
  // None, inside a block, at its end, and inside the third one.
  std::vector<Tokens> prefixes;
  for (const size_t n : {size_t{0}, 1 + below(31), size_t{32}, 65 + below(20)})
    prefixes.push_back(some_tokens(n));

  std::vector<DecodingJob> jobs(n_jobs);
  for (DecodingJob& job : jobs) {
    job.prefix = below(prefixes.size());
    job.prompt = prefixes[job.prefix];
    job.n_prefix = job.prompt.size();
    const Tokens rest = some_tokens(1 + below(below(12) == 0 ? kPromptMax - job.n_prefix : 45));
    job.prompt.insert(job.prompt.end(), rest.begin(), rest.end());
    job.n_decoded = below(5);
    job.wanted = some_tokens(1 + below(3) * 20);
  }
  return jobs;
}

JobLogits run_jobs(engine::Model& model, engine::KvType type, const std::vector<DecodingJob>& jobs,
                   const Batching& batching) {
  return Runner(model, type, jobs, batching).run();
}

}  // namespace tandem::testing
