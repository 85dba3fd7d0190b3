#include "tests/engine/constraint/random_text.h"

#include <gtest/gtest.h>

namespace tandem::testing {

using engine::Automaton;

bool fits(Automaton& automaton, std::string_view text) {
  Automaton::State state = automaton.start();
  for (const char byte : text) {
    state = automaton.step(state, static_cast<uint8_t>(byte));
    if (state == Automaton::kDead) return false;
  }
  return automaton.accepts(state);
}

std::optional<std::string> random_text(Automaton& automaton, std::mt19937_64& random, size_t bytes_max) {
  std::string text;
  Automaton::State state = automaton.start();
  while (text.size() < bytes_max) {
    if (automaton.accepts(state) && (random() % 4 == 0 || automaton.is_final(state))) return text;
    std::string allowed;
    std::string closing;
    for (unsigned byte = 0; byte < 256; ++byte) {
      if (automaton.step(state, static_cast<uint8_t>(byte)) == Automaton::kDead) continue;
      allowed += static_cast<char>(byte);
      if (std::string_view("\"]}").find(static_cast<char>(byte)) != std::string_view::npos)
        closing += static_cast<char>(byte);
    }
    if (allowed.empty()) {
      EXPECT_TRUE(automaton.accepts(state)) << "a dead end behind '" << text << "'";
      return text;
    }
    const std::string& from = !closing.empty() && random() % 3 == 0 ? closing : allowed;
    text += from[random() % from.size()];
    state = automaton.step(state, static_cast<uint8_t>(text.back()));
  }
  return std::nullopt;
}

}  // namespace tandem::testing
