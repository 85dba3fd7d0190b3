// What can be said of a request before it stands in line.

#pragma once

#include <optional>
#include <span>

#include "worker/scheduler/inference.h"

namespace tandem {

// Whether a model of `n_vocab` tokens has all of them.
bool all_known(std::span<const engine::TokenId> tokens, size_t n_vocab);

// Nothing when the request is in order. A scoring without paths is a bug and aborts.
std::optional<Error> mistake_in(const SequenceRequest& request, size_t n_vocab);

}  // namespace tandem
