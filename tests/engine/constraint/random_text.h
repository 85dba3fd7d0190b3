// Texts that a grammar allows, found by walking at random, and whether it allows a text.

#pragma once

#include <optional>
#include <random>
#include <string>
#include <string_view>

#include "worker/engine/constraint/automaton.h"

namespace tandem::testing {

using engine::fits;
bool fits(engine::Automaton& automaton, std::string_view text);

// Byte by byte, any that is allowed; leaning to what closes strings, lists and objects, so that it ends.
// Nothing when it does not end within `bytes_max`. A failure of the test when there is no way on.
std::optional<std::string> random_text(engine::Automaton& automaton, std::mt19937_64& random,
                                       size_t bytes_max = 2000);

}  // namespace tandem::testing
