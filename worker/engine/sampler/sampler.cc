#include "worker/engine/sampler/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "shared/base/assert.h"
#include "worker/engine/sampler/pcg32.h"

namespace tandem::engine {
namespace {

constexpr float kOut = -std::numeric_limits<float>::infinity();

struct Weighted {
  TokenId id = 0;
  float logit = 0;
  double weight = 0;  // exp((logit - best) / temperature), so the best has 1
};

bool more_likely(const Weighted& a, const Weighted& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

// A token that was there counts once, however often it was.
void penalise_repetition(double penalty, std::span<float> logits, std::span<const TokenId> history) {
  if (penalty == 1 || !(penalty > 0)) return;
  std::vector<bool> done(logits.size());
  const auto factor = static_cast<float>(penalty);
  for (const TokenId id : history) {
    const auto i = static_cast<size_t>(id);
    if (id < 0 || i >= logits.size() || done[i]) continue;
    done[i] = true;
    logits[i] = logits[i] < 0 ? logits[i] * factor : logits[i] / factor;
  }
}

// Bans each token that would complete a run of `n` tokens that is in `history` already.
void ban_repeated_ngrams(size_t n, std::span<float> logits, std::span<const TokenId> history) {
  if (n == 0 || history.size() + 1 < n) return;
  const auto context = history.last(n - 1);
  for (size_t end = n - 1; end < history.size(); ++end) {
    const auto i = static_cast<size_t>(history[end]);
    if (history[end] < 0 || i >= logits.size()) continue;
    if (std::equal(context.begin(), context.end(), history.begin() + static_cast<ptrdiff_t>(end - (n - 1)))) {
      logits[i] = kOut;
    }
  }
}

// The first of the greatest; NaN is passed over. With nothing above -infinity the answer is 0: no logits make
// it right, and a decode has to go somewhere.
size_t best_of(std::span<const float> logits) {
  size_t best = 0;
  float greatest = kOut;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > greatest) {
      greatest = logits[i];
      best = i;
    }
  }
  return best;
}

// The k-th greatest, without sorting the rest: a heap of the k greatest so far, whose least most logits don't
// reach.
float kth_greatest(std::span<const float> logits, size_t k) {
  std::vector<float> top;
  top.reserve(k);
  for (const float logit : logits) {
    if (std::isnan(logit)) continue;
    if (top.size() < k) {
      top.push_back(logit);
      std::push_heap(top.begin(), top.end(), std::greater<>());
    } else if (logit > top.front()) {
      std::pop_heap(top.begin(), top.end(), std::greater<>());
      top.back() = logit;
      std::push_heap(top.begin(), top.end(), std::greater<>());
    }
  }
  return top.empty() ? kOut : top.front();
}

double sum_of(const std::vector<Weighted>& kept) {
  double sum = 0;
  for (const Weighted& token : kept) sum += token.weight;
  return sum;
}

// Drops the unlikely whose probabilities together reach 1 - top_p at most. Read from the likely end: a token
// stays while those before it have less than top_p. Leaves `kept` sorted.
void cut_top_p(double top_p, std::vector<Weighted>& kept) {
  const double sum = sum_of(kept);
  // Those that all together cannot reach 1 - top_p need no sorting, and in a big vocabulary nearly all are.
  const double negligible = (1 - top_p) * sum / static_cast<double>(kept.size());
  std::erase_if(kept, [&](const Weighted& token) { return token.weight < negligible && token.weight < 1; });
  std::sort(kept.begin(), kept.end(), more_likely);
  double before = 0;
  size_t n_kept = 0;
  while (n_kept < kept.size() && (n_kept == 0 || before < top_p * sum)) before += kept[n_kept++].weight;
  kept.resize(n_kept);
}

// What may be drawn, by id or from most to least likely; both are the same on every machine. Never empty.
std::vector<Weighted> cut(const SamplerSettings& settings, std::span<float> logits,
                          std::span<const TokenId> history) {
  TANDEM_ASSERT(!logits.empty(), "a model has a vocabulary");
  penalise_repetition(settings.repetition_penalty, logits, history);
  ban_repeated_ngrams(settings.no_repeat_ngram, logits, history);

  const size_t best = best_of(logits);
  const float greatest = logits[best];
  const bool greedy = !(settings.temperature > 0);
  if (greedy || !(greatest > kOut)) return {{static_cast<TokenId>(best), greatest, 1}};

  const size_t k = settings.top_k == 0 ? logits.size() : std::min<size_t>(settings.top_k, logits.size());
  const float least = k < logits.size() ? kth_greatest(logits, k) : kOut;
  std::vector<Weighted> kept;
  kept.reserve(k < logits.size() ? k : logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    const float logit = logits[i];
    if (!(logit > kOut) || logit < least) continue;
    // Several infinities share all there is.
    const double weight = logit == greatest ? 1
                          : std::isinf(greatest)
                              ? 0
                              : std::exp((static_cast<double>(logit) - greatest) / settings.temperature);
    kept.push_back({static_cast<TokenId>(i), logit, weight});
  }
  if (settings.top_p < 1) cut_top_p(settings.top_p, kept);
  if (settings.min_p > 0) {
    std::erase_if(kept,
                  [&](const Weighted& token) { return token.weight < settings.min_p && token.weight < 1; });
  }
  return kept;
}

}  // namespace

Sampler::Sampler(const SamplerSettings& settings) : settings_(settings) {}

TokenId Sampler::next(std::span<float> logits, std::span<const TokenId> history) {
  const std::vector<Weighted> kept = cut(settings_, logits, history);
  Pcg32 random(settings_.seed);
  random.skip(2 * n_drawn_++);
  double left = random.next_unit() * sum_of(kept);
  TokenId last = kept.front().id;
  for (const Weighted& token : kept) {
    if (token.weight == 0) continue;
    last = token.id;
    left -= token.weight;
    if (left < 0) break;
  }
  return last;
}

std::vector<Candidate> Sampler::candidates(std::span<float> logits, std::span<const TokenId> history) const {
  std::vector<Weighted> kept = cut(settings_, logits, history);
  std::sort(kept.begin(), kept.end(), more_likely);
  const double sum = sum_of(kept);
  std::vector<Candidate> candidates;
  candidates.reserve(kept.size());
  for (const Weighted& token : kept) candidates.push_back({token.id, static_cast<float>(token.weight / sum)});
  return candidates;
}

double log_sum_exp(std::span<const float> logits) {
  double greatest = -std::numeric_limits<double>::infinity();
  for (const float logit : logits) {
    if (std::isnan(logit)) return std::numeric_limits<double>::quiet_NaN();
    greatest = std::max(greatest, static_cast<double>(logit));
  }
  if (std::isinf(greatest)) return greatest;
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - greatest);
  return greatest + std::log(sum);
}

}  // namespace tandem::engine
