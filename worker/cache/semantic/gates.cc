#include "worker/cache/semantic/gates.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "shared/base/format.h"

namespace tandem::semantic {
namespace {

constexpr size_t kNumbersMax = 200;  // more are not compared but refused

constexpr auto kGeneric = std::to_array<std::string_view>(
    {"yes",     "yesplease", "continue", "goon",       "pleasecontinue", "more",   "tellmemore", "ok",
     "okay",    "sure",      "no",       "nothanks",   "thankyou",       "thanks", "why",        "whynot",
     "how",     "what",      "again",    "next",       "stop",           "help",   "helpme",     "please",
     "goodjob", "isee",      "really",   "areyousure", "whatdoyoumean",  "好的",   "继续",       "请继续",
     "继续说",  "是的",      "不是",     "可以",       "不可以",         "谢谢",   "谢谢你",     "为什么",
     "怎么了",  "然后呢",    "还有呢",   "还有吗",     "再来一个",       "换一个", "再说一遍",   "没有",
     "不要",    "知道了",    "我知道了", "明白了",     "接着说",         "下一个", "什么意思",   "真的吗",
     "你确定吗"});

std::string shown(const NumberFact& number) {
  return number.unit.empty() ? number.value : number.value + " " + number.unit;
}

bool same(const NumberFact& a, const NumberFact& b) {
  return a.value == b.value && (a.unit == b.unit || a.unit.empty() || b.unit.empty());
}

GateRefusal refuse(Gate gate, std::string_view what, const std::string& in_query,
                   const std::string& in_donor) {
  return {gate, fmt::format("{}: '{}' in the question, '{}' in the donor's", what, in_query, in_donor)};
}

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : ", ") + part;
  return out.empty() ? "none" : out;
}

// Equal in order, but for optional ones that one side leaves out: the shortest such alignment, by dynamic
// programming over "can the first i and the first j be aligned".
bool aligned(const std::vector<NumberFact>& a, const std::vector<NumberFact>& b) {
  if (a.size() > kNumbersMax || b.size() > kNumbersMax) return false;
  std::vector<std::vector<char>> can(a.size() + 1, std::vector<char>(b.size() + 1, 0));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      can[i][j] = (i == 0 && j == 0) || (i > 0 && a[i - 1].optional && can[i - 1][j]) ||
                  (j > 0 && b[j - 1].optional && can[i][j - 1]) ||
                  (i > 0 && j > 0 && same(a[i - 1], b[j - 1]) && can[i - 1][j - 1]);
    }
  }
  return can[a.size()][b.size()];
}

std::optional<GateRefusal> check_numbers(const TextFacts& query, const TextFacts& donor) {
  if (aligned(query.numbers, donor.numbers)) return std::nullopt;
  std::vector<std::string> a, b;
  for (const NumberFact& number : query.numbers) a.push_back(shown(number));
  for (const NumberFact& number : donor.numbers) b.push_back(shown(number));
  return refuse(Gate::kNumber, "numbers", joined(a), joined(b));
}

// The sides that the text takes in a pair, in order.
std::vector<bool> sides(const TextFacts& facts, size_t pair, std::string& words) {
  std::vector<bool> out;
  for (const PoleFact& pole : facts.poles) {
    if (pole.pair != pair) continue;
    out.push_back(pole.second);
    words += (words.empty() ? "" : ", ") + pole.word;
  }
  return out;
}

std::optional<GateRefusal> check_negation(const TextFacts& query, const TextFacts& donor) {
  if (query.negations.size() != donor.negations.size()) {
    return refuse(Gate::kNegation, "negations", joined(query.negations), joined(donor.negations));
  }
  for (const PoleFact& pole : query.poles) {
    std::string in_query, in_donor;
    const std::vector<bool> a = sides(query, pole.pair, in_query), b = sides(donor, pole.pair, in_donor);
    const auto n_second = [](const std::vector<bool>& of) { return std::count(of.begin(), of.end(), true); };
    const auto n_first = [](const std::vector<bool>& of) { return std::count(of.begin(), of.end(), false); };
    const bool turned = (n_first(a) > n_first(b) && n_second(a) < n_second(b)) ||
                        (n_first(a) < n_first(b) && n_second(a) > n_second(b));
    const bool exchanged = n_first(a) == n_first(b) && n_second(a) == n_second(b) && a != b;
    if (turned || exchanged) return refuse(Gate::kNegation, "opposites", in_query, in_donor);
  }
  // "unlucky" here and "lucky" there, for words that no list knows.
  static constexpr std::array<std::string_view, 6> kPrefixes = {"un", "in", "im", "dis", "non", "ir"};
  const auto turned_by_prefix = [&](const TextFacts& with, const TextFacts& without) -> std::string {
    for (const std::string& word : with.words) {
      if (without.words.contains(word)) continue;
      for (const std::string_view prefix : kPrefixes) {
        if (!word.starts_with(prefix) || word.size() < prefix.size() + 3) continue;
        const std::string bare = word.substr(prefix.size());
        if (without.words.contains(bare) && !with.words.contains(bare)) return word;
      }
    }
    return "";
  };
  if (const std::string word = turned_by_prefix(query, donor); !word.empty()) {
    return refuse(Gate::kNegation, "opposites", word, "its opposite");
  }
  if (const std::string word = turned_by_prefix(donor, query); !word.empty()) {
    return refuse(Gate::kNegation, "opposites", "its opposite", word);
  }
  return std::nullopt;
}

std::optional<GateRefusal> check_names(const TextFacts& query, const TextFacts& donor) {
  for (const std::string& name : query.names) {
    if (!donor.words.contains(name)) return refuse(Gate::kName, "names", name, "none such");
  }
  for (const std::string& name : donor.names) {
    if (!query.words.contains(name)) return refuse(Gate::kName, "names", "none such", name);
  }
  const auto holds = [](const TextFacts& facts, const std::string& what) {
    return facts.flat.find(what) != std::string::npos;
  };
  for (const std::string& words : query.quoted) {
    if (!holds(donor, words)) return refuse(Gate::kName, "quoted", words, "none such");
  }
  for (const std::string& words : donor.quoted) {
    if (!holds(query, words)) return refuse(Gate::kName, "quoted", "none such", words);
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Gate gate) {
  switch (gate) {
    case Gate::kTooShort:
      return "too_short";
    case Gate::kLength:
      return "length";
    case Gate::kLanguage:
      return "language";
    case Gate::kNumber:
      return "number";
    case Gate::kNegation:
      return "negation";
    case Gate::kName:
      return "name";
  }
  return "unknown";
}

std::optional<GateRefusal> check_alone(const TextFacts& text, const GateSettings& settings) {
  const bool generic = std::find(kGeneric.begin(), kGeneric.end(), text.flat) != kGeneric.end();
  if (!generic && text.n_units >= settings.units_min) return std::nullopt;
  return GateRefusal{Gate::kTooShort, generic ? "'" + text.flat + "' means what stands before it"
                                              : fmt::format("expected at least {} units of text, found {}",
                                                            settings.units_min, text.n_units)};
}

std::optional<GateRefusal> check_gates(const TextFacts& query, const TextFacts& donor,
                                       const GateSettings& settings) {
  if (auto refusal = check_alone(query, settings)) return refusal;
  if (auto refusal = check_alone(donor, settings)) return refusal;

  const auto [shorter, longer] = std::minmax(query.n_letters, donor.n_letters);
  if (static_cast<double>(longer) > settings.length_ratio_max * static_cast<double>(shorter)) {
    return refuse(Gate::kLength, "letters", std::to_string(query.n_letters), std::to_string(donor.n_letters));
  }
  double distance = 0;
  for (size_t i = 0; i < query.scripts.size(); ++i)
    distance += std::abs(query.scripts[i] - donor.scripts[i]) / 2;
  if (distance > settings.script_distance_max) {
    return GateRefusal{Gate::kLanguage, fmt::format("scripts differ by {:.2f} of at most {:.2f}", distance,
                                                    settings.script_distance_max)};
  }
  if (auto refusal = check_numbers(query, donor)) return refusal;
  if (auto refusal = check_negation(query, donor)) return refusal;
  return check_names(query, donor);
}

}  // namespace tandem::semantic
