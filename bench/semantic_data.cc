#include "bench/semantic_data.h"

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

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

}  // namespace

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
  }));
  std::map<std::string, size_t> groups;
  TANDEM_TRY(for_each_row(folder / ("faq_stream" + end), [&](const auto& row) {
    const size_t group = groups.emplace(row.at("group"), groups.size()).first->second;
    data.stream.push_back({row.at("text"), group});
  }));
  return data;
}

}  // namespace tandem::bench
