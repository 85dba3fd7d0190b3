#include "bench/semantic_data.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "worker/cache/semantic/characters.h"
#include "worker/cache/semantic/crc32.h"
#include "worker/cache/semantic/words.h"

namespace tandem::bench {
namespace {

// Calls `take(row)` for every line.
template <typename Take>
Result<void> for_each_row(const std::filesystem::path& path, Take&& take) try {
  std::ifstream file(path);
  if (!file) return fail(ErrorCode::kNotFound, path.string() + ": cannot be read");
  std::string line;
  for (size_t n = 1; std::getline(file, line); ++n) {
    const auto row = nlohmann::json::parse(line, nullptr, false);
    if (!row.is_object()) {
      return fail(ErrorCode::kCorrupt, path.string() + ":" + std::to_string(n) + ": expected a JSON object");
    }
    take(row);
  }
  return {};
} catch (const nlohmann::json::exception& error) {
  return fail(ErrorCode::kCorrupt, path.string() + ": " + error.what());
}

// Its words but particles, sorted.
std::string content_of(const std::string& text) {
  static const std::set<std::u32string> kParticles = {
      U"我", U"的", U"了",  U"呢",  U"吗",   U"呀",   U"吧",    U"啊",  U"呗",  U"么",     U"嘛",
      U"还", U"也", U"求",  U"跪",  U"要",   U"给",   U"你",    U"a",   U"an",  U"the",    U"my",
      U"i",  U"is", U"are", U"do",  U"does", U"what", U"whats", U"can", U"you", U"please", U"to",
      U"of", U"in", U"for", U"and", U"your", U"how",  U"so",    U"on"};
  std::vector<std::u32string> words;
  for (const auto& word : semantic::words_of(semantic::characters_of(text))) {
    if (!kParticles.contains(word.text)) words.push_back(word.text);
  }
  std::sort(words.begin(), words.end());
  std::string content;
  for (const auto& word : words) content += semantic::to_utf8(word) + " ";
  return content;
}

}  // namespace

void keep_source(SemanticData& data, const std::string& source) {
  const auto other = [&](const LabelledPair& pair) { return pair.source != source; };
  std::erase_if(data.pairs, other);
  std::erase_if(data.traps, other);
  SemanticData kept;
  for (size_t i = 0; i < data.questions.size(); ++i) {
    if (data.question_sources[i] != source) continue;
    kept.questions.push_back(std::move(data.questions[i]));
    kept.question_sources.push_back(source);
  }
  data.questions = std::move(kept.questions);
  data.question_sources = std::move(kept.question_sources);
}

void keep_held_out(SemanticData& data, uint32_t percent) {
  std::erase_if(data.pairs, [&](const LabelledPair& pair) {
    return semantic::crc32(std::min(pair.a, pair.b)) % 100 >= percent;
  });
}

void merge_equal_questions(SemanticData& data) {
  std::vector<size_t> parent(data.questions.size());
  std::iota(parent.begin(), parent.end(), size_t{0});
  const auto root = [&](size_t n) {
    while (parent[n] != n) n = parent[n] = parent[parent[n]];
    return n;
  };
  std::map<std::string, size_t> first;
  for (size_t i = 0; i < data.questions.size(); ++i) {
    for (const std::string& text : data.questions[i]) {
      const std::string content = content_of(text);
      if (!content.empty()) parent[root(i)] = root(first.emplace(content, i).first->second);
    }
  }
  std::map<size_t, std::vector<std::string>> merged;
  for (size_t i = 0; i < data.questions.size(); ++i) {
    auto& all = merged[root(i)];
    all.insert(all.end(), data.questions[i].begin(), data.questions[i].end());
  }
  data.questions.clear();
  data.question_sources.clear();
  for (auto& [group, texts] : merged) data.questions.push_back(std::move(texts));
}

Result<SemanticData> read_semantic_data(const std::filesystem::path& folder, const std::string& lang) {
  SemanticData data;
  const std::string end = "_" + lang + ".jsonl";
  const auto pair_of = [](const nlohmann::json& row) {
    return LabelledPair{row.at("a"), row.at("b"), row.value("source", ""), row.value("kind", ""),
                        row.at("same")};
  };
  TANDEM_TRY(
      for_each_row(folder / ("pairs" + end), [&](const auto& row) { data.pairs.push_back(pair_of(row)); }));
  TANDEM_TRY(
      for_each_row(folder / ("traps" + end), [&](const auto& row) { data.traps.push_back(pair_of(row)); }));
  TANDEM_TRY(for_each_row(folder / ("faq" + end), [&](const auto& row) {
    std::vector<std::string> phrasings = {row.at("q")};
    for (const auto& other : row.at("paraphrases")) phrasings.push_back(other);
    data.questions.push_back(std::move(phrasings));
    const std::string id = row.at("id");
    data.question_sources.push_back(id.substr(0, id.rfind('-')));
  }));
  std::map<std::string, size_t> groups;
  TANDEM_TRY(for_each_row(folder / ("faq_stream" + end), [&](const auto& row) {
    const size_t group = groups.emplace(row.at("group"), groups.size()).first->second;
    data.stream.push_back({row.at("text"), group});
  }));
  return data;
}

}  // namespace tandem::bench
