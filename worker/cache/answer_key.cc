#include <algorithm>

#include "shared/base/assert.h"
#include "worker/cache/answer_cache.h"
#include "worker/tasks/refusal.h"

namespace tandem {
namespace {

void add(HashBuilder& hash, const DecodeSettings& decode) {
  const engine::SamplerSettings sampler = without_idle_settings(decode.sampler);
  hash.add(uint64_t{decode.tokens_max});
  hash.add(sampler.temperature).add(uint64_t{sampler.top_k});
  hash.add(sampler.top_p).add(sampler.min_p).add(sampler.repetition_penalty);
  hash.add(uint64_t{sampler.no_repeat_ngram}).add(sampler.seed);

  // Stop strings are a set: the first to appear in the text ends it, whichever stands first in the list.
  std::vector<std::string_view> stops(decode.stop.begin(), decode.stop.end());
  std::sort(stops.begin(), stops.end());
  stops.erase(std::unique(stops.begin(), stops.end()), stops.end());
  hash.add(uint64_t{stops.size()});
  for (const std::string_view stop : stops) hash.add(stop);
}

}  // namespace

Hash128 answer_key(const AnswerKeyParts& parts) {
  TANDEM_ASSERT(parts.task != nullptr && parts.prompt != nullptr, "an answer is of a task and a prompt");
  HashBuilder hash;
  hash.add("tandem answer key 1");
  hash.add(parts.model_fingerprint).add(parts.tokenizer_fingerprint).add(parts.task->fingerprint);
  hash.add(parts.cache_namespace);
  hash.add(uint64_t{parts.prompt->size()});
  hash.add_bytes(parts.prompt->data(), parts.prompt->size() * sizeof(engine::TokenId));

  // A scored label depends on the prompt alone.
  const bool scored = parts.task->answer == AnswerKind::kLabel && parts.task->method == LabelMethod::kScore;
  TANDEM_ASSERT(scored || parts.decode != nullptr, "a generated answer has settings");
  hash.add(uint64_t{scored});
  if (!scored) add(hash, *parts.decode);
  return hash.finish();
}

bool worth_caching(const TaskResult& result) {
  if (result.error || result.source != AnswerSource::kModel) return false;  // a hit must not renew its age
  if (result.label) return result.label->reason.empty() || result.label->reason == "abstained";
  return result.text && result.text->finish_reason == "stop" && !is_refusal(result.text->text);
}

}  // namespace tandem
