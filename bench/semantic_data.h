// The labelled questions that the semantic tier is measured on, read in place.

#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "shared/base/result.h"

namespace tandem::bench {

struct LabelledPair {
  std::string a, b, source, kind;  // kind: of traps
  bool same = false;
};

// A question as it was asked, and which question it is: equal groups, one meaning.
struct AskedText {
  std::string text;
  size_t group = 0;
};

struct SemanticData {
  std::vector<LabelledPair> pairs, traps;
  // All phrasings of every question of faq_*, by group.
  std::vector<std::vector<std::string>> questions;
  std::vector<AskedText> stream;  // faq_stream_*
};

// pairs_, traps_, faq_ and faq_stream_<lang>.jsonl of the folder. kNotFound, kCorrupt with file and line.
Result<SemanticData> read_semantic_data(const std::filesystem::path& folder, const std::string& lang);

}  // namespace tandem::bench
