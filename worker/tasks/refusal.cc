#include "worker/tasks/refusal.h"

#include "worker/tasks/plain_text.h"

namespace tandem {
namespace {

using std::u32string_view;

// A phrase in English stands between word borders; one in Chinese anywhere.
bool has_phrase(u32string_view plain, u32string_view phrase) {
  for (size_t at = plain.find(phrase); at != u32string_view::npos; at = plain.find(phrase, at + 1)) {
    const size_t end = at + phrase.size();
    const bool begins = at == 0 || !is_word_character(plain[at - 1]) || !is_word_character(phrase.front());
    const bool ends =
        end == plain.size() || !is_word_character(plain[end]) || !is_word_character(phrase.back());
    if (begins && ends) return true;
  }
  return false;
}

// Whoever says this has no label to give.
constexpr u32string_view kDeclining[] = {
    U"i cannot",
    U"i can not",
    U"i can't",
    U"i cant",
    U"i'm unable",
    U"i am unable",
    U"i'm not able",
    U"i am not able",
    U"i could not",
    U"i couldn't",
    U"i won't",
    U"i will not",
    U"i'm sorry",
    U"i am sorry",
    U"sorry, i",
    U"sorry but",
    U"sorry, but",
    U"i apologize",
    U"i apologise",
    U"as an ai",
    U"as a language model",
    U"as an assistant",
    U"i don't know",
    U"i do not know",
    U"i'm not sure",
    U"i am not sure",
    U"not sure",
    U"cannot determine",
    U"can't determine",
    U"cannot be determined",
    U"can't be determined",
    U"can't tell",
    U"cannot tell",
    U"cannot say",
    U"can't say",
    U"hard to say",
    U"hard to tell",
    U"unable to determine",
    U"undetermined",
    U"it depends",
    U"unclear",
    U"mixed",
    U"无法",
    U"不能判断",
    U"不能确定",
    U"不能回答",
    U"难以判断",
    U"难以确定",
    U"很难说",
    U"很难判断",
    U"不好说",
    U"不确定",
    U"不清楚",
    U"不知道",
    U"抱歉",
    U"对不起",
    U"作为一个ai",
    U"作为ai",
    U"作为一个人工智能",
    U"作为人工智能",
    U"作为一个语言模型",
    U"信息不足",
    U"正负面",
    U"好坏参半",
    U"喜忧参半",
};

// A free answer that opens with one of these is no answer, or costs little when it is not cached.
constexpr u32string_view kOpenings[] = {
    U"i cannot ",
    U"i can not ",
    U"i can't ",
    U"i'm unable to",
    U"i am unable to",
    U"i'm not able to",
    U"i am not able to",
    U"i won't be able",
    U"i'm sorry, but i",
    U"i am sorry, but i",
    U"i'm sorry, i can",
    U"i'm sorry, i'm",
    U"i am sorry, i can",
    U"i'm sorry but i",
    U"i'm sorry, as an ai",
    U"sorry, i can",
    U"sorry, but i can",
    U"sorry, i'm unable",
    U"i apologize, but",
    U"i apologise, but",
    U"as an ai",
    U"as a language model",
    U"我无法",
    U"我不能",
    U"无法回答",
    U"抱歉,我无法",
    U"抱歉,我不能",
    U"很抱歉,我无法",
    U"很抱歉,我不能",
    U"非常抱歉,我无法",
    U"非常抱歉,我不能",
    U"抱歉,但我",
    U"对不起,我无法",
    U"对不起,我不能",
    U"作为一个ai",
    U"作为ai",
    U"作为一个人工智能",
    U"作为人工智能",
    U"作为一个语言模型",
};

}  // namespace

bool declines(u32string_view plain) {
  for (const u32string_view phrase : kDeclining) {
    if (has_phrase(plain, phrase)) return true;
  }
  return false;
}

bool is_refusal(std::string_view answer) {
  constexpr size_t kLookedAt = 256;  // bytes; an opening is at the beginning
  const std::u32string plain = plain_text(answer.substr(0, kLookedAt));
  const size_t first = plain.find_first_not_of(U" \n");
  if (first == std::u32string::npos) return false;
  const u32string_view text = u32string_view(plain).substr(first);
  for (const u32string_view opening : kOpenings) {
    if (text.starts_with(opening)) return true;
  }
  return false;
}

}  // namespace tandem
