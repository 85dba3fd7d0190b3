// Any bytes as a regular expression and as a JSON schema. What is taken is walked through for a while: it
// must always be possible to go on or to end.

#include <string>

#include "shared/base/assert.h"
#include "worker/engine/constraint/automaton.h"

namespace {

using tandem::engine::Automaton;
using tandem::engine::Grammar;

// The bytes of the input choose the way.
void walk(const std::shared_ptr<const Grammar>& grammar, std::string_view choices) {
  Automaton automaton(grammar);
  Automaton::State state = automaton.start();
  for (size_t i = 0; i < 100; ++i) {
    std::string allowed;
    for (unsigned byte = 0; byte < 256; ++byte) {
      if (automaton.step(state, static_cast<uint8_t>(byte)) != Automaton::kDead)
        allowed += static_cast<char>(byte);
    }
    TANDEM_ASSERT(!allowed.empty() || automaton.accepts(state), "there is no dead end");
    TANDEM_ASSERT(allowed.empty() == automaton.is_final(state), "final is where nothing follows");
    if (allowed.empty()) return;
    const auto choice = static_cast<uint8_t>(choices.empty() ? 0 : choices[i % choices.size()]);
    state = automaton.step(state, static_cast<uint8_t>(allowed[choice % allowed.size()]));
    if (automaton.n_bytes() > (8u << 20)) return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (const auto grammar = tandem::engine::grammar_of_regex(input)) walk(*grammar, input);
  if (const auto grammar = tandem::engine::grammar_of_json(input)) walk(*grammar, input);
  const std::string one(input);
  if (const auto grammar = tandem::engine::grammar_of_choice({&one, 1})) walk(*grammar, input);
  return 0;
}
