// The tiny golden model with its tokenizer, and what the official implementation says with it.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/engine/model/model.h"
#include "worker/engine/tokenizer/chat_template.h"
#include "worker/engine/tokenizer/tokenizer.h"

namespace tandem::testing {

struct GoldenDecode {
  std::string name;
  engine::Tokens prompt;
  engine::Tokens tokens;  // greedy; no end token among them
};

// Loaded once for all tests. Tests run in tests/, so that the path is a relative one.
struct TinyModel {
  std::unique_ptr<engine::Model> model;
  engine::Tokenizer tokenizer;
  engine::ChatTemplate chat_template;
  std::vector<GoldenDecode> decodes;  // eight prompts of 1 to 300 tokens

  static TinyModel& get();
  const GoldenDecode& find(const std::string& name) const;
  engine::KvCache make_kv(size_t n_blocks) const;
};

inline constexpr char kTinyModel[] = "data/golden/models/qwen2-tiny-f32";

}  // namespace tandem::testing
