#include "tests/worker/soak/traffic.h"

namespace tandem::testing {

namespace {
constexpr size_t kEarlierMax = 64;
}  // namespace

Traffic::Traffic(uint32_t seed, size_t n_vocab, size_t positions_max)
    : random_(seed), n_vocab_(n_vocab), positions_max_(positions_max) {
  for (size_t i = 0; i < 8; ++i) templates_.push_back(tokens(draw(16, 100)));
}

engine::Tokens Traffic::tokens(size_t n) {
  engine::Tokens tokens(n);
  for (engine::TokenId& token : tokens) token = static_cast<engine::TokenId>(draw(0, n_vocab_ - 1));
  return tokens;
}

engine::Tokens Traffic::prompt() {
  engine::Tokens prompt;
  const size_t kind = draw(0, 99);
  if (kind < 10 && !earlier_.empty()) return earlier_[draw(0, earlier_.size() - 1)];
  if (kind < 20 && !earlier_.empty()) {
    prompt = earlier_[draw(0, earlier_.size() - 1)];
  } else if (kind < 85) {
    prompt = templates_[draw(0, templates_.size() - 1)];
  }
  const engine::Tokens own = tokens(draw(0, 29) == 0 ? draw(200, 700) : draw(1, 50));
  prompt.insert(prompt.end(), own.begin(), own.end());
  if (prompt.size() > positions_max_ / 2) prompt.resize(positions_max_ / 2);
  return prompt;
}

Traffic::Job Traffic::next(SequenceId id) {
  Job job;
  job.request.id = id;
  job.request.urgency = draw(0, 4) == 0 ? Urgency::kInteractive : Urgency::kBulk;
  job.too_long = draw(0, 199) == 0;
  job.request.prompt = job.too_long ? tokens(positions_max_ + 1) : prompt();
  if (draw(0, 1) == 0) {
    ScoreWork work{{{}}, {tokens(3)}};
    for (size_t n = draw(0, 9) < 3 ? draw(1, 4) : 0; n > 0; --n) {
      work.paths.push_back(tokens(draw(1, 4)));
      work.wanted.push_back(tokens(2));
    }
    job.request.work = std::move(work);
  } else {
    DecodeWork work;
    work.tokens_max = static_cast<uint32_t>(draw(0, 29) == 0 ? draw(50, 200) : draw(1, 16));
    work.stream = draw(0, 1) == 0;
    if (draw(0, 1) == 0) work.sampler.temperature = 0.8f;
    if (draw(0, 2) == 0) work.stop = {"e"};
    work.sampler.seed = id;
    job.request.work = std::move(work);
  }
  if (draw(0, 19) == 0) job.cancel_after = static_cast<uint32_t>(draw(1, 8));
  if (!job.too_long && draw(0, 3) == 0) {
    if (earlier_.size() < kEarlierMax) {
      earlier_.push_back(job.request.prompt);
    } else {
      earlier_[draw(0, kEarlierMax - 1)] = job.request.prompt;
    }
  }
  return job;
}

SequenceRequest Traffic::probe(SequenceId id) {
  SequenceRequest request;
  request.id = id;
  for (engine::TokenId i = 0; i < 90; ++i) request.prompt.push_back((i * 37 + 5) % 500);
  request.work = ScoreWork{{{}, {7, 8}, {9}}, {{1, 2, 3}, {4, 5}, {6}}};
  return request;
}

}  // namespace tandem::testing
