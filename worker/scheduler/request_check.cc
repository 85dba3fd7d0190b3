#include "worker/scheduler/request_check.h"

#include <algorithm>

#include "shared/base/assert.h"

namespace tandem {

bool all_known(std::span<const engine::TokenId> tokens, size_t n_vocab) {
  return std::all_of(tokens.begin(), tokens.end(), [&](engine::TokenId token) {
    return token >= 0 && static_cast<size_t>(token) < n_vocab;
  });
}

std::optional<Error> mistake_in(const SequenceRequest& request, size_t n_vocab) {
  const auto are_known = [&](const engine::Tokens& tokens) { return all_known(tokens, n_vocab); };
  const Error unknown{ErrorCode::kInvalid, "expected token ids below " + std::to_string(n_vocab) +
                                               ", found others: model and tokenizer do not belong together"};
  if (!are_known(request.prompt)) return unknown;
  if (const auto* decode = std::get_if<DecodeWork>(&request.work)) {
    if (decode->tokens_max == 0)
      return Error{ErrorCode::kInvalid, "tokens_max: expected at least 1, found 0"};
    return std::nullopt;
  }
  const auto& score = std::get<ScoreWork>(request.work);
  TANDEM_ASSERT(!score.paths.empty() && score.paths.size() == score.wanted.size(),
                "every path says which tokens are wanted after it");
  if (!std::all_of(score.paths.begin(), score.paths.end(), are_known)) return unknown;
  if (!std::all_of(score.wanted.begin(), score.wanted.end(), are_known)) return unknown;
  return std::nullopt;
}

}  // namespace tandem
