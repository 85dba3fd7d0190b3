// Numbers in digits, in Chinese and in English, dates and units.

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "worker/cache/semantic/characters.h"
#include "worker/cache/semantic/text_facts.h"
#include "worker/cache/semantic/words.h"

namespace tandem::semantic {
namespace {

using View = std::u32string_view;

struct Named {
  View name;
  std::string_view is;
};

// The first entry that `at` begins with; longer names stand before those they begin with.
template <size_t n>
const Named* match(const std::array<Named, n>& table, View at) {
  for (const Named& entry : table) {
    if (at.starts_with(entry.name)) return &entry;
  }
  return nullptr;
}

constexpr auto kUnits = std::to_array<Named>(
    {{U"%", "%"},        {U"％", "%"},          {U"percent", "%"},   {U"美元", "usd"},
     {U"美金", "usd"},   {U"dollar", "usd"},    {U"usd", "usd"},     {U"欧元", "eur"},
     {U"euro", "eur"},   {U"日元", "jpy"},      {U"元", "cny"},      {U"块", "cny"},
     {U"人民币", "cny"}, {U"rmb", "cny"},       {U"yuan", "cny"},    {U"rupee", "inr"},
     {U"rs", "inr"},     {U"公斤", "kg"},       {U"千克", "kg"},     {U"kg", "kg"},
     {U"斤", "jin"},     {U"克", "g"},          {U"公里", "km"},     {U"千米", "km"},
     {U"km", "km"},      {U"厘米", "cm"},       {U"cm", "cm"},       {U"毫米", "mm"},
     {U"mm", "mm"},      {U"mile", "mile"},     {U"英里", "mile"},   {U"feet", "foot"},
     {U"foot", "foot"},  {U"inch", "inch"},     {U"寸", "inch"},     {U"米", "m"},
     {U"小时", "hour"},  {U"hour", "hour"},     {U"分钟", "minute"}, {U"minute", "minute"},
     {U"min", "minute"}, {U"秒", "second"},     {U"天", "day"},      {U"日", "day"},
     {U"号", "day"},     {U"day", "day"},       {U"星期", "week"},   {U"周", "week"},
     {U"week", "week"},  {U"个月", "month"},    {U"月", "month"},    {U"month", "month"},
     {U"年", "year"},    {U"year", "year"},     {U"岁", "year"},     {U"点", "o'clock"},
     {U"am", "am"},      {U"pm", "pm"},         {U"gb", "gb"},       {U"mb", "mb"},
     {U"度", "degree"},  {U"degree", "degree"}, {U"次", "time"},     {U"times", "time"},
     {U"折", "off"}});

// Words with numerals in them that are no numbers.
constexpr auto kNoNumbers =
    std::to_array<View>({U"千万别", U"千万不", U"千万要", U"万一", U"百度", U"十分感", U"十分想", U"十分喜",
                         U"十分好", U"四川", U"百货", U"三星", U"万能", U"五一", U"百事", U"万达", U"千牛"});

// Dates with a name. Today and now go without saying.
struct DateWord {
  View name;
  std::string_view is;
  bool optional;
};
constexpr auto kDateWords =
    std::to_array<DateWord>({{U"今天", "today", true},           {U"现在", "now", true},
                             {U"today", "today", true},          {U"now", "now", true},
                             {U"明天", "tomorrow", false},       {U"昨天", "yesterday", false},
                             {U"后天", "in two days", false},    {U"前天", "two days ago", false},
                             {U"去年", "last year", false},      {U"明年", "next year", false},
                             {U"今年", "this year", true},       {U"上个月", "last month", false},
                             {U"下个月", "next month", false},   {U"上周", "last week", false},
                             {U"下周", "next week", false},      {U"tomorrow", "tomorrow", false},
                             {U"yesterday", "yesterday", false}, {U"tonight", "tonight", false},
                             {U"周末", "weekend", false},        {U"星期天", "sunday", false},
                             {U"星期日", "sunday", false},       {U"周日", "sunday", false},
                             {U"礼拜天", "sunday", false},       {U"monday", "monday", false},
                             {U"tuesday", "tuesday", false},     {U"wednesday", "wednesday", false},
                             {U"thursday", "thursday", false},   {U"friday", "friday", false},
                             {U"saturday", "saturday", false},   {U"sunday", "sunday", false},
                             {U"january", "january", false},     {U"february", "february", false},
                             {U"april", "april", false},         {U"june", "june", false},
                             {U"july", "july", false},           {U"august", "august", false},
                             {U"september", "september", false}, {U"october", "october", false},
                             {U"november", "november", false},   {U"december", "december", false}});

constexpr auto kEnglish = std::to_array<std::pair<View, int>>({{U"zero", 0},
                                                               {U"one", 1},
                                                               {U"two", 2},
                                                               {U"three", 3},
                                                               {U"four", 4},
                                                               {U"five", 5},
                                                               {U"six", 6},
                                                               {U"seven", 7},
                                                               {U"eight", 8},
                                                               {U"nine", 9},
                                                               {U"ten", 10},
                                                               {U"eleven", 11},
                                                               {U"twelve", 12},
                                                               {U"thirteen", 13},
                                                               {U"fourteen", 14},
                                                               {U"fifteen", 15},
                                                               {U"sixteen", 16},
                                                               {U"seventeen", 17},
                                                               {U"eighteen", 18},
                                                               {U"nineteen", 19},
                                                               {U"twenty", 20},
                                                               {U"thirty", 30},
                                                               {U"forty", 40},
                                                               {U"fifty", 50},
                                                               {U"sixty", 60},
                                                               {U"seventy", 70},
                                                               {U"eighty", 80},
                                                               {U"ninety", 90},
                                                               {U"hundred", 100},
                                                               {U"thousand", 1000},
                                                               {U"million", 1'000'000},
                                                               {U"billion", 1'000'000'000},
                                                               {U"lakh", 100'000},
                                                               {U"crore", 10'000'000},
                                                               {U"first", 1},
                                                               {U"second", 2},
                                                               {U"third", 3},
                                                               {U"fourth", 4},
                                                               {U"fifth", 5},
                                                               {U"dozen", 12},
                                                               {U"twice", 2},
                                                               {U"once", 1}});

int chinese_digit(char32_t c) {
  static constexpr View kDigits = U"零一二三四五六七八九";
  if (c == U'〇') return 0;
  if (c == U'两') return 2;
  const size_t at = kDigits.find(c);
  return at == View::npos ? -1 : static_cast<int>(at);
}

uint64_t chinese_multiplier(char32_t c) {
  switch (c) {
    case U'十':
      return 10;
    case U'百':
      return 100;
    case U'千':
      return 1000;
    case U'万':
      return 10'000;
    case U'亿':
      return 100'000'000;
    default:
      return 0;
  }
}

// 二零一五 is 2015, 一百二十 is 120, 三万五千 is 35000.
std::string chinese_value(View run) {
  const bool digits_only =
      std::all_of(run.begin(), run.end(), [](char32_t c) { return chinese_digit(c) >= 0; });
  if (digits_only && run.size() > 1) {
    std::string value;
    for (const char32_t c : run) value += static_cast<char>('0' + chinese_digit(c));
    return value;
  }
  uint64_t total = 0, section = 0, digit = 0;
  bool has_digit = false;
  for (const char32_t c : run) {
    const uint64_t times = chinese_multiplier(c);
    if (times == 0) {
      digit = static_cast<uint64_t>(chinese_digit(c));
      has_digit = true;
    } else if (times >= 10'000) {
      total = (total + section + digit + (section + digit + total == 0 ? 1 : 0)) * times;
      section = digit = 0;
      has_digit = false;
    } else {
      section += (has_digit ? digit : 1) * times;
      digit = 0;
      has_digit = false;
    }
  }
  return std::to_string(total + section + digit);
}

// "1,000" is "1000", "3.50" is "3.5", "007" is "7"; ten to the `n_zeros` times that.
std::string decimal_value(View run, size_t n_zeros) {
  std::string whole, part;
  bool after = false;
  for (const char32_t c : run) {
    if (c == U'.') {
      after = true;
    } else if (is_digit(c)) {
      (after ? part : whole) += static_cast<char>(c);
    }
  }
  for (; n_zeros > 0; --n_zeros) {
    whole += part.empty() ? '0' : part.front();
    if (!part.empty()) part.erase(0, 1);
  }
  while (!part.empty() && part.back() == '0') part.pop_back();
  whole.erase(0, std::min(whole.find_first_not_of('0'), whole.size() - 1));
  return part.empty() ? whole : whole + "." + part;
}

class NumberReader {
 public:
  explicit NumberReader(View characters) : text_(lower(characters)) {}

  std::vector<NumberFact> read() {
    while (at_ < text_.size()) {
      if (!skip_no_number() && !date_word() && !digits() && !chinese() && !word()) ++at_;
    }
    return std::move(found_);
  }

 private:
  View rest() const { return View(text_).substr(at_); }
  char32_t behind(size_t at) const { return at < text_.size() ? text_[at] : 0; }

  bool skip_no_number() {
    static const FirstCharacters kFirst(kNoNumbers, [](View name) { return std::array{name}; });
    for (const size_t n : kFirst.of(text_[at_])) {
      const View name = kNoNumbers[n];
      if (!rest().starts_with(name)) continue;
      at_ += name.size();
      return true;
    }
    return false;
  }

  // Whole words only, where the name is not Han.
  bool whole(View name) const {
    if (is_han(name.front())) return true;
    return (at_ == 0 || !is_word(text_[at_ - 1])) && !is_word(behind(at_ + name.size()));
  }

  bool date_word() {
    static const FirstCharacters kFirst(kDateWords,
                                        [](const DateWord& date) { return std::array{date.name}; });
    for (const size_t n : kFirst.of(text_[at_])) {
      const DateWord& date = kDateWords[n];
      if (!rest().starts_with(date.name) || !whole(date.name)) continue;
      found_.push_back({std::string(date.is), "", date.optional});
      at_ += date.name.size();
      return true;
    }
    return false;
  }

  std::string unit() {
    size_t from = at_;
    while (behind(from) == U' ') ++from;
    if (const Named* unit = match(kUnits, View(text_).substr(from))) {
      // "rs" of "rsvp" is no unit; the plural of one is.
      const size_t end = from + unit->name.size();
      const bool plural = behind(end) == U's' && !is_word(behind(end + 1));
      if (is_word(unit->name.front()) && is_word(behind(end)) && !plural) return "";
      at_ = end + plural;
      return std::string(unit->is);
    }
    return "";
  }

  bool digits() {
    if (!is_digit(text_[at_])) return false;
    const size_t begin = at_;
    while (is_digit(behind(at_)) ||
           ((behind(at_) == U'.' || behind(at_) == U',') && is_digit(behind(at_ + 1)))) {
      ++at_;
    }
    const View run = View(text_).substr(begin, at_ - begin);
    size_t n_zeros = 0;
    for (; chinese_multiplier(behind(at_)) != 0; ++at_) {
      for (uint64_t times = chinese_multiplier(text_[at_]); times > 1; times /= 10) ++n_zeros;
    }
    std::string value;
    // 1.2.3 and 1,2,3 are not one number, but they are one thing.
    const bool plain = std::count(run.begin(), run.end(), U'.') <= 1;
    value = plain ? decimal_value(run, n_zeros) : to_utf8(run);
    found_.push_back({value, unit(), false});
    return true;
  }

  bool chinese() {
    size_t end = at_;
    while (chinese_digit(behind(end)) >= 0 || chinese_multiplier(behind(end)) != 0) ++end;
    if (end == at_) return false;
    const View run = View(text_).substr(at_, end - at_);
    const bool percent = run.ends_with(U"百") && behind(end) == U'分' && behind(end + 1) == U'之';
    const bool permille =
        !percent && run.ends_with(U"千") && behind(end) == U'分' && behind(end + 1) == U'之';
    if (percent || permille) {  // 百分之五 is 5 %
      at_ = end + 2;
      size_t from = at_;
      while (chinese_digit(behind(at_)) >= 0 || chinese_multiplier(behind(at_)) != 0) ++at_;
      if (at_ == from) return true;
      found_.push_back({chinese_value(View(text_).substr(from, at_ - from)), permille ? "‰" : "%", false});
      return true;
    }
    at_ = end;
    const size_t begin = end - run.size();
    const bool named = begin > 0 && View(U"周期拜第").find(text_[begin - 1]) != View::npos;  // 周一, 第一
    found_.push_back({chinese_value(run), unit(), run == U"一" && !named});
    if (!found_.back().unit.empty()) found_.back().optional = false;
    return true;
  }

  // "twenty five thousand" is one number of several words.
  bool word() {
    if (!is_word(text_[at_]) || (at_ > 0 && is_word(text_[at_ - 1]))) return false;
    uint64_t total = 0, section = 0;
    size_t n_words = 0, at = at_;
    bool lone_one = false;
    while (true) {
      size_t end = at;
      while (is_word(behind(end))) ++end;
      const View word = View(text_).substr(at, end - at);
      const auto* number =
          std::find_if(kEnglish.begin(), kEnglish.end(), [&](const auto& e) { return e.first == word; });
      if (number == kEnglish.end()) break;
      const auto value = static_cast<uint64_t>(number->second);
      if (value == 100 || value >= 1000) {
        section = std::min<uint64_t>(std::max<uint64_t>(section, 1) * value, 1'000'000'000'000);
        if (value >= 1000) total += std::exchange(section, 0);
      } else {
        section += value;
      }
      lone_one = n_words == 0 && (word == U"one" || word == U"once" || word == U"first");
      ++n_words;
      at_ = end;
      at = end;
      while (behind(at) == U' ' || behind(at) == U'-') ++at;
    }
    if (n_words == 0) {  // past the whole word: "one" in "stone" is none
      while (is_word(behind(at_)) && !is_digit(behind(at_))) ++at_;
      return true;
    }
    found_.push_back({std::to_string(total + section), unit(), lone_one && n_words == 1});
    if (!found_.back().unit.empty()) found_.back().optional = false;
    return true;
  }

  std::u32string text_;
  size_t at_ = 0;
  std::vector<NumberFact> found_;
};

}  // namespace

std::vector<NumberFact> numbers_in(std::u32string_view characters) {
  return NumberReader(characters).read();
}

}  // namespace tandem::semantic
