// Labels found in generated text. The rule behind all the rules: a wrong label is worse than none, so
// whatever leaves a doubt is "unparsed", and nothing is ever concluded from a negation ("not positive" is no
// "negative").

#include <algorithm>

#include "worker/tasks/answer.h"
#include "worker/tasks/plain_text.h"
#include "worker/tasks/refusal.h"

namespace tandem {
namespace {

using std::u32string;
using std::u32string_view;

constexpr size_t kLineCharactersMax = 1000;  // an answer that needs more than this to say its label says none

// A place where a label is named.
struct Mention {
  size_t begin = 0, end = 0;
  size_t label = 0;
  bool negated = false;
};

struct Spelling {
  u32string text;
  size_t label = 0;
};

u32string trimmed(u32string text) {
  const size_t first = text.find_first_not_of(U" \n");
  if (first == u32string::npos) return {};
  return text.substr(first, text.find_last_not_of(U" \n") - first + 1);
}

// All that names a label, longest first, so that "non-toxic" is found before "toxic" inside it.
std::vector<Spelling> spellings_of(const Task& task) {
  std::vector<Spelling> spellings;
  const auto add = [&](const std::string& text, size_t label) {
    u32string plain = trimmed(plain_text(text));
    if (!plain.empty()) spellings.push_back({std::move(plain), label});
  };
  for (size_t i = 0; i < task.labels.size(); ++i) {
    add(task.labels[i].id, i);
    add(task.labels[i].say, i);
    for (const std::string& alias : task.labels[i].aliases) add(alias, i);
  }
  std::stable_sort(spellings.begin(), spellings.end(),
                   [](const Spelling& a, const Spelling& b) { return a.text.size() > b.text.size(); });
  return spellings;
}

bool stands_alone(u32string_view line, size_t begin, size_t end) {
  const bool left = begin == 0 || !is_word_character(line[begin - 1]) || !is_word_character(line[begin]);
  const bool right = end == line.size() || !is_word_character(line[end]) || !is_word_character(line[end - 1]);
  return left && right;
}

std::vector<Mention> find_mentions(u32string_view line, const std::vector<Spelling>& spellings) {
  std::vector<Mention> mentions;
  for (size_t at = 0; at < line.size();) {
    size_t length = 0;
    for (const Spelling& spelling : spellings) {
      if (line.substr(at, spelling.text.size()) != spelling.text) continue;
      if (!stands_alone(line, at, at + spelling.text.size())) continue;
      length = spelling.text.size();
      mentions.push_back({at, at + length, spelling.label, false});
      break;
    }
    at += std::max<size_t>(length, 1);
  }
  return mentions;
}

// ---- negation --------------------------------------------------------------------------------------------

bool is_clause_end(char32_t c) {
  return u32string_view(U".,;:!?\n").find(c) != u32string_view::npos;
}

// Words that turn a clause: what stands before them does not reach behind them.
constexpr u32string_view kTurning[] = {U"but", U"however", U"而是", U"但", U"却", U"然而", U"不过"};
// Words after which only reasons follow.
constexpr u32string_view kReasons[] = {U"because", U"since", U"while", U"因为", U"由于"};
constexpr u32string_view kNegatingWords[] = {
    U"not",    U"no",     U"never",     U"neither",  U"nor",      U"none",    U"nothing",  U"without",
    U"hardly", U"barely", U"cannot",    U"non",      U"anti",     U"isnt",    U"dont",     U"doesnt",
    U"wasnt",  U"arent",  U"cant",      U"didnt",    U"wont",     U"wouldnt", U"lacks",    U"lacking",
    U"false",  U"wrong",  U"incorrect", U"opposite", U"contrary", U"rarely",  U"scarcely", U"unlikely"};
// Where one of these is, its "不", "没", "非", "未" or "无" denies nothing.
constexpr u32string_view kHarmless[] = {U"非常", U"不仅", U"不但", U"不只",   U"不光", U"不错",
                                        U"没错", U"无疑", U"无论", U"不得不", U"未来", U"除非",
                                        U"不论", U"不管", U"不禁", U"不由",   U"不愧", U"莫非"};
constexpr u32string_view kNegatingCharacters = U"不没非未否沒";
// Right in front of a label only: "无正面" is none, "无聊" is a word. "正负面" means both.
constexpr u32string_view kNegatingWhenNext = U"无無反正";

template <size_t N>
bool contains(const u32string_view (&list)[N], u32string_view word) {
  return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

// The words between borders in `text`, apostrophes inside them included.
std::vector<u32string_view> words_of(u32string_view text) {
  std::vector<u32string_view> words;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && (is_word_character(text[end]) || (text[end] == '\'' && end > at))) ++end;
    if (end > at) words.push_back(text.substr(at, end - at));
    at = std::max(end, at + 1);
  }
  return words;
}

// "not only", "no doubt": words that deny, but not here.
bool is_harmless(u32string_view word, u32string_view next) {
  if (word == U"not") return next == U"only" || next == U"just" || next == U"merely" || next == U"simply";
  return (word == U"no" || word == U"without") && (next == U"doubt" || next == U"question");
}

bool denies(u32string_view text) {
  const std::vector<u32string_view> words = words_of(text);
  for (size_t i = 0; i < words.size(); ++i) {
    if (is_harmless(words[i], i + 1 < words.size() ? words[i + 1] : u32string_view())) continue;
    if (contains(kNegatingWords, words[i]) || words[i].ends_with(U"n't")) return true;
  }
  for (size_t at = 0; at < text.size();) {
    size_t n_harmless = 0;
    for (const u32string_view harmless : kHarmless) {
      if (text.substr(at).starts_with(harmless)) n_harmless = harmless.size();
    }
    if (n_harmless == 0 && kNegatingCharacters.find(text[at]) != u32string_view::npos) return true;
    at += std::max<size_t>(n_harmless, 1);
  }
  return false;
}

// Where `word` stands in `text` from `from` on; npos when nowhere. English words stand alone.
size_t find_word(u32string_view text, u32string_view word, size_t from) {
  for (size_t at = text.find(word, from); at != u32string_view::npos; at = text.find(word, at + 1)) {
    if (stands_alone(text, at, at + word.size())) return at;
  }
  return u32string_view::npos;
}

// What stands in front of `begin` in its own clause.
u32string_view clause_before(u32string_view line, size_t begin) {
  size_t from = begin;
  while (from > 0 && !is_clause_end(line[from - 1])) --from;
  for (const u32string_view word : kTurning) {
    const u32string_view clause = line.substr(0, begin);
    for (size_t at = find_word(clause, word, from); at != u32string_view::npos;
         at = find_word(clause, word, from)) {
      from = at + word.size();
    }
  }
  return line.substr(from, begin - from);
}

// What follows `end` in its own clause.
u32string_view clause_after(u32string_view line, size_t end) {
  size_t to = end;
  while (to < line.size() && !is_clause_end(line[to])) ++to;
  for (const u32string_view word : kTurning) to = std::min(to, find_word(line, word, end));
  for (const u32string_view word : kReasons) to = std::min(to, find_word(line, word, end));
  return line.substr(end, to - end);
}

// "or", "、" and the like: what a denial in front of a list of labels reaches across.
bool only_joins(u32string_view between) {
  static constexpr u32string_view kJoining[] = {U"or", U"nor", U"and"};
  u32string rest;
  for (const char32_t c : between) {
    if (u32string_view(U" ,/|&或和与及").find(c) == u32string_view::npos) rest += c;
  }
  return rest.empty() || contains(kJoining, rest);
}

void mark_negated(u32string_view line, std::vector<Mention>& mentions) {
  for (size_t i = 0; i < mentions.size(); ++i) {
    Mention& mention = mentions[i];
    const size_t previous_end = i == 0 ? 0 : mentions[i - 1].end;
    const bool next_to =
        mention.begin > 0 && kNegatingWhenNext.find(line[mention.begin - 1]) != u32string_view::npos;
    mention.negated = next_to || denies(clause_before(line, mention.begin)) ||
                      (i > 0 && mentions[i - 1].negated &&
                       only_joins(line.substr(previous_end, mention.begin - previous_end)));
  }
}

// A denial or a question behind the label: "positive is not the word", "positive? no". A denial in front of
// another label belongs to that one: "positive, not negative".
bool doubted(u32string_view line, const std::vector<Mention>& mentions, size_t i) {
  const size_t end = mentions[i].end;
  const u32string_view after = clause_after(line, end);
  const size_t mark = end + after.size();
  if (mark < line.size() && line[mark] == '?') return true;
  if (i + 1 < mentions.size() && mentions[i + 1].begin < mark) return false;
  return denies(after);
}

LabelAnswer unparsed() {
  LabelAnswer answer;
  answer.reason = "unparsed";
  return answer;
}

// The first line with something on it; an introduction that ends in ":" has its answer on the next one.
u32string answer_line(const std::string& generated) {
  const u32string plain = plain_text(generated);
  u32string line;
  for (size_t at = 0; at < plain.size();) {
    const size_t end = std::min(plain.find(U'\n', at), plain.size());
    line += trimmed(plain.substr(at, end - at));
    at = end + 1;
    if (!line.empty() && line.back() != ':') break;
  }
  return line;
}

}  // namespace

LabelAnswer parse_label(const Task& task, const std::string& generated) {
  const u32string line = answer_line(generated);
  if (line.empty() || line.size() > kLineCharactersMax) return unparsed();

  std::vector<Mention> mentions = find_mentions(line, spellings_of(task));
  mark_negated(line, mentions);

  u32string around = line;  // what is said beside the labels
  for (const Mention& mention : mentions) {
    std::fill(around.begin() + static_cast<std::ptrdiff_t>(mention.begin),
              around.begin() + static_cast<std::ptrdiff_t>(mention.end), U';');
  }
  if (declines(around)) return unparsed();

  std::optional<size_t> found;
  for (size_t i = 0; i < mentions.size(); ++i) {
    if (mentions[i].negated) continue;
    if (doubted(line, mentions, i)) return unparsed();
    if (found && *found != mentions[i].label) return unparsed();  // two labels: no answer
    found = mentions[i].label;
  }
  if (!found) return unparsed();

  LabelAnswer answer;
  answer.label = task.labels[*found].id;
  answer.display = task.labels[*found].display;
  return answer;
}

}  // namespace tandem
