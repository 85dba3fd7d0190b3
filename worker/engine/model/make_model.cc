#include "worker/engine/model/make_model.h"

#include <array>

#include "shared/base/assert.h"

namespace tandem::engine {
namespace {

struct Architecture {
  std::string_view name;
  Result<std::unique_ptr<Model>> (*make)(Decoder::Parts parts);
};

constexpr Architecture kArchitectures[] = {
    {"Qwen2ForCausalLM", make_qwen2},
    {"Qwen3ForCausalLM", make_qwen3},
};

constexpr auto kNames = [] {
  std::array<std::string_view, std::size(kArchitectures)> names;
  for (size_t i = 0; i < names.size(); ++i) names[i] = kArchitectures[i].name;
  return names;
}();

}  // namespace

std::span<const std::string_view> supported_architectures() {
  return kNames;
}

Result<std::unique_ptr<Model>> make_model(Decoder::Parts parts) {
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.name == parts.config.architecture) return architecture.make(std::move(parts));
  }
  TANDEM_ASSERT(false, "read_model_config() lets only supported architectures pass");
}

}  // namespace tandem::engine
