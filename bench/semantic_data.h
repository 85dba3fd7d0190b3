// The labelled questions that the semantic tier is measured on, read in place.

#pragma once

#include <cstdint>
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
  std::vector<std::string> question_sources;
  std::vector<AskedText> stream;  // faq_stream_*
};

// pairs_, traps_, faq_ and faq_stream_<lang>.jsonl of the folder. kNotFound, kCorrupt with file and line.
Result<SemanticData> read_semantic_data(const std::filesystem::path& folder, const std::string& lang);

// Only what came from one of its sources ("lcqmc", "quora"): a task has one kind of questions. Not the
// stream.
void keep_source(SemanticData& data, const std::string& source);

// Only the pairs that train_ngram.py --held-out <percent> does not train on.
void keep_held_out(SemanticData& data, uint32_t percent);

// Groups with a phrasing that says the same but for particles (我的花呗不能用了, 花呗不能用了) become one:
// people labelled many of these as different, and no cache can know why.
void merge_equal_questions(SemanticData& data);

}  // namespace tandem::bench
