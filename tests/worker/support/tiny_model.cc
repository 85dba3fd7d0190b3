#include "tests/worker/support/tiny_model.h"

#include <nlohmann/json.hpp>

#include "shared/base/assert.h"
#include "shared/base/file.h"

namespace tandem::testing {

TinyModel& TinyModel::get() {
  static TinyModel tiny = [] {
    auto model = engine::Model::load(kTinyModel, {.n_threads = 1});
    auto tokenizer = engine::Tokenizer::load(kTinyModel);
    auto chat_template = engine::ChatTemplate::load(kTinyModel);
    TANDEM_ASSERT(model && tokenizer && chat_template, "the golden models are in the checkout");
    TinyModel made{std::move(*model), std::move(*tokenizer), std::move(*chat_template), {}};

    const auto text = read_file("data/golden/golden/qwen2-tiny-f32.json", 64u << 20);
    TANDEM_ASSERT(text, "the golden answers are in the checkout");
    const nlohmann::json golden = nlohmann::json::parse(*text);
    for (const auto& one : golden.at("cases")) {
      made.decodes.push_back({one.at("case"), one.at("ids"), one.at("greedy_32")});
    }
    return made;
  }();
  return tiny;
}

const GoldenDecode& TinyModel::find(const std::string& name) const {
  for (const GoldenDecode& one : decodes) {
    if (one.name == name) return one;
  }
  TANDEM_ASSERT(false, "the case exists");
  return decodes.front();
}

engine::KvCache TinyModel::make_kv(size_t n_blocks) const {
  auto kv = engine::KvCache::create(model->kv_shape(), n_blocks);
  TANDEM_ASSERT(kv, "there is memory for a few blocks");
  return std::move(*kv);
}

}  // namespace tandem::testing
