// Negations and opposites, Chinese and English.

#include <algorithm>
#include <array>

#include "worker/cache/semantic/characters.h"
#include "worker/cache/semantic/text_facts.h"
#include "worker/cache/semantic/words.h"

namespace tandem::semantic {
namespace {

using View = std::u32string_view;

// Words with a negating character in them that deny nothing. 不同 and 不错 are not here: they have opposites.
constexpr auto kHarmless = std::to_array<View>(
    {U"非常", U"别人", U"特别",     U"分别",   U"区别",   U"级别",   U"性别", U"类别", U"别的", U"未来",
     U"无论", U"不管", U"不但",     U"不仅",   U"差不多", U"对不起", U"非洲", U"无线", U"辨别", U"鉴别",
     U"识别", U"个别", U"不好意思", U"了没有", U"否则",   U"是否",   U"能否", U"可否", U"没事"});

constexpr View kDeny = U"不没沒未非别別无無莫勿甭";

// X不X and X没X ask, they deny nothing. Only these X: "看不看" said of 看看 would hide a change.
constexpr View kAsked = U"是有能会要可好行对想去用知喜该算需来在让给做吃还买得应敢愿够肯用爱";

constexpr auto kEnglishDeny = std::to_array<View>(
    {U"not",      U"no",      U"never",  U"none",   U"nothing", U"nobody",  U"nowhere", U"neither",
     U"nor",      U"without", U"cannot", U"hardly", U"unable",  U"dont",    U"doesnt",  U"didnt",
     U"isnt",     U"arent",   U"wasnt",  U"werent", U"wont",    U"wouldnt", U"cant",    U"couldnt",
     U"shouldnt", U"havent",  U"hasnt",  U"hadnt",  U"mustnt",  U"aint",    U"neednt",  U"non",
     U"except",   U"instead", U"fail",   U"failed", U"fails",   U"lack",    U"false"});

struct Pair {
  View first, second;
};
// Longest match first where one contains another, so the order within a language does not matter.
constexpr auto kPairs = std::to_array<Pair>({
    {U"开通", U"关闭"},
    {U"开启", U"关闭"},
    {U"打开", U"关闭"},
    {U"打开", U"关掉"},
    {U"开", U"关"},
    {U"绑定", U"解绑"},
    {U"绑定", U"解除"},
    {U"增加", U"减少"},
    {U"提高", U"降低"},
    {U"提升", U"下降"},
    {U"提前", U"推迟"},
    {U"提前", U"延期"},
    {U"提前", U"延后"},
    {U"上升", U"下降"},
    {U"上涨", U"下跌"},
    {U"允许", U"禁止"},
    {U"支持", U"反对"},
    {U"成功", U"失败"},
    {U"喜欢", U"讨厌"},
    {U"买", U"卖"},
    {U"借款", U"还款"},
    {U"男", U"女"},
    {U"好", U"坏"},
    {U"大", U"小"},
    {U"多", U"少"},
    {U"高", U"低"},
    {U"长", U"短"},
    {U"快", U"慢"},
    {U"早", U"晚"},
    {U"前", U"后"},
    {U"进", U"出"},
    {U"上", U"下"},
    {U"左", U"右"},
    {U"里", U"外"},
    {U"内", U"外"},
    {U"冷", U"热"},
    {U"胖", U"瘦"},
    {U"加", U"减"},
    {U"转入", U"转出"},
    {U"存", U"取"},
    {U"收", U"付"},
    {U"添加", U"删除"},
    {U"登录", U"退出"},
    {U"注册", U"注销"},
    {U"开始", U"结束"},
    {U"安装", U"卸载"},
    {U"优点", U"缺点"},
    {U"相同", U"不同"},
    {U"主动", U"被动"},
    {U"正确", U"错误"},
    {U"安全", U"危险"},
    {U"合法", U"非法"},
    {U"公", U"母"},
    {U"爸爸", U"妈妈"},
    {U"爷爷", U"奶奶"},
    {U"哥哥", U"姐姐"},
    {U"老公", U"老婆"},
    {U"最好", U"最差"},
    {U"最大", U"最小"},
    {U"新", U"旧"},
    {U"真", U"假"},
    {U"输", U"赢"},
    {U"活", U"死"},
    {U"强", U"弱"},
    {U"enable", U"disable"},
    {U"increase", U"decrease"},
    {U"increase", U"reduce"},
    {U"raise", U"lower"},
    {U"best", U"worst"},
    {U"good", U"bad"},
    {U"better", U"worse"},
    {U"before", U"after"},
    {U"man", U"woman"},
    {U"men", U"women"},
    {U"boy", U"girl"},
    {U"male", U"female"},
    {U"guy", U"girl"},
    {U"husband", U"wife"},
    {U"father", U"mother"},
    {U"gain", U"lose"},
    {U"win", U"lose"},
    {U"buy", U"sell"},
    {U"open", U"close"},
    {U"start", U"stop"},
    {U"begin", U"end"},
    {U"on", U"off"},
    {U"up", U"down"},
    {U"in", U"out"},
    {U"left", U"right"},
    {U"high", U"low"},
    {U"higher", U"lower"},
    {U"more", U"less"},
    {U"most", U"least"},
    {U"large", U"small"},
    {U"big", U"small"},
    {U"long", U"short"},
    {U"fast", U"slow"},
    {U"hot", U"cold"},
    {U"love", U"hate"},
    {U"like", U"dislike"},
    {U"add", U"remove"},
    {U"install", U"uninstall"},
    {U"accept", U"reject"},
    {U"allow", U"forbid"},
    {U"allow", U"block"},
    {U"include", U"exclude"},
    {U"import", U"export"},
    {U"input", U"output"},
    {U"upload", U"download"},
    {U"send", U"receive"},
    {U"lock", U"unlock"},
    {U"follow", U"unfollow"},
    {U"subscribe", U"unsubscribe"},
    {U"activate", U"deactivate"},
    {U"connect", U"disconnect"},
    {U"advantage", U"disadvantage"},
    {U"pro", U"con"},
    {U"pass", U"fail"},
    {U"succeed", U"fail"},
    {U"success", U"failure"},
    {U"true", U"false"},
    {U"possible", U"impossible"},
    {U"legal", U"illegal"},
    {U"healthy", U"unhealthy"},
    {U"happy", U"unhappy"},
    {U"happy", U"sad"},
    {U"safe", U"dangerous"},
    {U"safe", U"unsafe"},
    {U"easy", U"hard"},
    {U"easy", U"difficult"},
    {U"rich", U"poor"},
    {U"strong", U"weak"},
    {U"young", U"old"},
    {U"new", U"old"},
    {U"early", U"late"},
    {U"always", U"never"},
    {U"with", U"without"},
    {U"deposit", U"withdraw"},
    {U"borrow", U"lend"},
    {U"credit", U"debit"},
    {U"import", U"export"},
    {U"arrive", U"depart"},
    {U"push", U"pull"},
    {U"minimum", U"maximum"},
    {U"positive", U"negative"},
    {U"public", U"private"},
    {U"life", U"death"},
    {U"alive", U"dead"},
    {U"inside", U"outside"},
    {U"above", U"below"},
    {U"first", U"last"},
    {U"next", U"previous"},
});

// "increases", "increased" and "increasing" are "increase".
bool is_form_of(View word, View base) {
  if (!word.starts_with(base.substr(0, base.size() - (base.back() == U'e')))) return false;
  if (word == base) return true;
  static constexpr std::array<View, 5> kEnds = {U"s", U"es", U"d", U"ed", U"ing"};
  const View stem = base.back() == U'e' ? base.substr(0, base.size() - 1) : base;
  for (const View end : kEnds) {
    if (word.size() == base.size() + end.size() && word.starts_with(base) && word.ends_with(end)) return true;
    if (word.size() == stem.size() + end.size() && word.starts_with(stem) && word.ends_with(end)) return true;
  }
  return false;
}

const std::vector<size_t>& pairs_from(char32_t first) {
  static const FirstCharacters kFirst(kPairs, [](const Pair& pair) {
    return std::array{pair.first, pair.second};
  });
  return kFirst.of(first);
}

// 好玩不？ and 吃了没 ask: nothing but signs and particles after it.
bool ends_question(View after) {
  return std::all_of(after.begin(), after.end(), [](char32_t c) {
    return (!is_han(c) && !is_word(c)) || View(U"呢啊呀哦").find(c) != View::npos;
  });
}

void read_han(View small, TextFacts& facts) {
  for (size_t i = 0; i < small.size();) {
    if (!is_han(small[i])) {
      ++i;
      continue;
    }
    const View rest = small.substr(i);
    // The longest opposite that begins here, with all pairs that know it.
    size_t longest = 0;
    for (const size_t n : pairs_from(small[i])) {
      const Pair& pair = kPairs[n];
      if (rest.starts_with(pair.first)) longest = std::max(longest, pair.first.size());
      if (rest.starts_with(pair.second)) longest = std::max(longest, pair.second.size());
    }
    const auto* harmless =
        std::find_if(kHarmless.begin(), kHarmless.end(), [&](View word) { return rest.starts_with(word); });
    if (harmless != kHarmless.end() && harmless->size() > longest) {
      i += harmless->size();
      continue;
    }
    for (const size_t n : pairs_from(small[i])) {
      if (longest == 0) break;
      const bool second = kPairs[n].second == rest.substr(0, longest);
      if (second || kPairs[n].first == rest.substr(0, longest)) {
        facts.poles.push_back({n, second, to_utf8(rest.substr(0, longest))});
      }
    }
    const bool denies = kDeny.find(small[i]) != View::npos;
    const bool asks = denies && i > 0 && i + 1 < small.size() && small[i - 1] == small[i + 1] &&
                      kAsked.find(small[i - 1]) != View::npos;
    const bool tag = i > 0 && View(U"不没否").find(small[i]) != View::npos && ends_question(rest.substr(1));
    if (denies && !asks && !tag) facts.negations.push_back(to_utf8(small.substr(i, 1)));
    i += std::max<size_t>(longest, 1);
  }
}

void read_words(View small, TextFacts& facts) {
  for (const Word& word : words_of(small)) {
    if (word.han) continue;
    if (std::find(kEnglishDeny.begin(), kEnglishDeny.end(), word.text) != kEnglishDeny.end()) {
      facts.negations.push_back(to_utf8(word.text));
    }
    for (const size_t n : pairs_from(word.text.front())) {
      const bool second = is_form_of(word.text, kPairs[n].second);
      if (second || is_form_of(word.text, kPairs[n].first))
        facts.poles.push_back({n, second, to_utf8(word.text)});
    }
  }
}

}  // namespace

void read_polarity(std::u32string_view small, TextFacts& facts) {
  read_han(small, facts);
  read_words(small, facts);
}

}  // namespace tandem::semantic
