// Builds a prompt of ChatML piece by piece: what a template writes is special, what a caller brings is plain.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "worker/engine/tokenizer/tokenizer.h"

namespace tandem::engine {

class PromptWriter {
 public:
  explicit PromptWriter(std::vector<PromptPiece>& pieces) : pieces_(pieces) {}

  void special(std::string_view text) { pieces_.push_back({PromptPiece::Kind::kSpecial, std::string(text)}); }
  void plain(std::string_view text) {
    if (!text.empty()) pieces_.push_back({PromptPiece::Kind::kPlain, std::string(text)});
  }
  void open(std::string_view role) {
    special("<|im_start|>");
    plain(std::string(role) + "\n");
  }
  void close() {
    special("<|im_end|>");
    plain("\n");
  }

 private:
  std::vector<PromptPiece>& pieces_;
};

}  // namespace tandem::engine
