#include "tests/worker/tasks/support.h"
#include "worker/tasks/answer.h"
#include "worker/tasks/refusal.h"

namespace tandem {
namespace {

using namespace tandem::testing;

Task polarity(bool with_neutral) {
  Task task;
  task.answer = AnswerKind::kLabel;
  task.method = LabelMethod::kGenerate;
  task.labels = {{"positive", "Positive", "😄", {"正面", "积极", "pos"}},
                 {"negative", "Negative", "😞", {"负面", "消极", "neg"}}};
  if (with_neutral) task.labels.push_back({"neutral", "Neutral", "😐", {"中立", "中性"}});
  return task;
}

struct Case {
  const char* text;
  const char* label;  // "" for unparsed
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << '\'' << c.text << '\'';
}

class ParseLabel : public ::testing::TestWithParam<Case> {};

TEST_P(ParseLabel, FindsTheLabelOrNone) {
  const LabelAnswer answer = parse_label(polarity(true), GetParam().text);
  EXPECT_EQ(answer.label, GetParam().label) << GetParam().text;
  EXPECT_EQ(answer.reason, *GetParam().label == 0 ? "unparsed" : "") << GetParam().text;
  EXPECT_EQ(answer.probability, 0) << "nothing was scored";
  EXPECT_TRUE(answer.scores.empty());
}

INSTANTIATE_TEST_SUITE_P(PlainAnswers, ParseLabel,
                         ::testing::Values(Case{"Positive", "positive"}, Case{"Negative", "negative"},
                                           Case{" positive ", "positive"}, Case{"POSITIVE!", "positive"},
                                           Case{"Positive.", "positive"}, Case{"\n\nNegative\n", "negative"},
                                           Case{"pos", "positive"}, Case{"中立", "neutral"},
                                           Case{"正面", "positive"}, Case{"负面。", "negative"},
                                           Case{"消极", "negative"}, Case{"Neutral", "neutral"}));

INSTANTIATE_TEST_SUITE_P(Decoration, ParseLabel,
                         ::testing::Values(Case{"**Positive**", "positive"}, Case{"`negative`", "negative"},
                                           Case{"\"Positive\"", "positive"}, Case{"'Positive'", "positive"},
                                           Case{"“正面”", "positive"}, Case{"【负面】", "negative"},
                                           Case{"# Negative", "negative"}, Case{"- Positive", "positive"},
                                           Case{"😄 Positive", "positive"},
                                           Case{"Ｐｏｓｉｔｉｖｅ", "positive"},
                                           Case{"ＮＥＧＡＴＩＶＥ。", "negative"},
                                           Case{"　正面　", "positive"}, Case{"[Negative]", "negative"},
                                           Case{"__Positive__", "positive"}));

INSTANTIATE_TEST_SUITE_P(
    Sentences, ParseLabel,
    ::testing::Values(Case{"The sentiment is negative", "negative"},
                      Case{"The sentiment of this text is positive.", "positive"},
                      Case{"Sentiment: Positive", "positive"}, Case{"情感：正面", "positive"},
                      Case{"这段话的情感是负面的。", "negative"}, Case{"这是一条非常正面的评价", "positive"},
                      Case{"Answer:\nNegative", "negative"}, Case{"答案：\n\n中立", "neutral"},
                      Case{"Very positive", "positive"},
                      Case{"Positive because the weather is nice", "positive"},
                      Case{"Positive, because it is not bad", "positive"},
                      Case{"Positive\nNegative things are not mentioned", "positive"},
                      Case{"毫无疑问，正面", "positive"}, Case{"无疑是正面", "positive"},
                      Case{"No doubt positive", "positive"}, Case{"没错，是负面", "negative"}));

INSTANTIATE_TEST_SUITE_P(
    Negations, ParseLabel,
    ::testing::Values(
        Case{"not positive", ""}, Case{"Not Positive.", ""}, Case{"not very positive", ""},
        Case{"It isn't positive", ""}, Case{"It isn’t negative", ""}, Case{"It doesn't sound positive", ""},
        Case{"never negative", ""}, Case{"non-positive", ""}, Case{"neither positive nor negative", ""},
        Case{"neither Positive nor Negative, Neutral.", ""},  // reaches along a list: better none
        Case{"not positive or negative", ""}, Case{"no positive words here", ""},
        Case{"I don't think this is positive", ""}, Case{"Not as positive as it seems", ""},
        Case{"不正面", ""}, Case{"不是正面", ""}, Case{"并非负面", ""}, Case{"没有负面情绪", ""},
        Case{"不是正面或负面", ""}, Case{"无负面", ""}, Case{"不太积极", ""}, Case{"非正面", ""}));

INSTANTIATE_TEST_SUITE_P(
    NegationsOfTheOther, ParseLabel,
    ::testing::Values(Case{"Positive, not negative", "positive"}, Case{"Positive not negative", "positive"},
                      Case{"not positive but negative", "negative"}, Case{"不是正面，而是负面", "negative"},
                      Case{"不是负面而是正面", "positive"},
                      Case{"It is not negative. It is positive.", "positive"},
                      Case{"负面，不是正面", "negative"}, Case{"Not positive; negative", "negative"}));

INSTANTIATE_TEST_SUITE_P(
    Doubts, ParseLabel,
    ::testing::Values(Case{"", ""}, Case{"   \n ", ""}, Case{"...", ""}, Case{"Positive and negative", ""},
                      Case{"Positive/Negative", ""}, Case{"Positive or Negative?", ""}, Case{"Positive?", ""},
                      Case{"正面和负面", ""}, Case{"正面还是负面？", ""}, Case{"正负面都有", ""},
                      Case{"Positve", ""}, Case{"Positively", ""}, Case{"nonnegative", ""},
                      Case{"impositive", ""}, Case{"Positive is not the right word", ""},
                      Case{"Positive sentiment is not present", ""},
                      Case{"not only positive but also negative", ""}, Case{"不仅正面也有负面", ""},
                      Case{"天气很好", ""}, Case{"yes", ""}, Case{"1", ""}));

INSTANTIATE_TEST_SUITE_P(
    Refusals, ParseLabel,
    ::testing::Values(Case{"I cannot determine whether this is positive", ""},
                      Case{"I cannot answer that.", ""}, Case{"I can't say it is negative", ""},
                      Case{"As an AI, I find this positive", ""},
                      Case{"I'm sorry, but I can't classify that as negative.", ""},
                      Case{"I’m not sure: positive", ""}, Case{"抱歉，我无法判断是正面还是负面", ""},
                      Case{"作为一个AI，我认为是正面", ""}, Case{"无法确定", ""},
                      Case{"不确定，可能是正面", ""}, Case{"Mixed, mostly positive", ""}));

// Where there is no neutral label, a neutral answer is no label, and never silently "negative".
TEST(ParseLabelOfTwo, DoesNotKnowNeutral) {
  for (const char* text : {"中立", "Neutral", "neutral.", "中性"}) {
    EXPECT_EQ(parse_label(polarity(false), text).reason, "unparsed") << text;
  }
}

TEST(ParseLabelOfAny, TakesTheLongestSpellingFirst) {
  Task task;
  task.labels = {
      {"toxic", "toxic", "", {}}, {"clean", "non-toxic", "", {}}, {"none", "not relevant", "", {}}};
  EXPECT_EQ(parse_label(task, "Non-toxic.").label, "clean");
  EXPECT_EQ(parse_label(task, "toxic").label, "toxic");
  EXPECT_EQ(parse_label(task, "not toxic").label, "");
  EXPECT_EQ(parse_label(task, "Not relevant").label, "none") << "a label's own \"not\" denies nothing";
}

TEST(ParseLabelOfAny, FindsLabelsMadeOfSigns) {
  Task task;
  task.labels = {{"cpp", "C++", "", {}}, {"c", "C", "", {}}, {"na", "N/A", "", {}}};
  EXPECT_EQ(parse_label(task, "c++").label, "cpp");
  EXPECT_EQ(parse_label(task, "It is C.").label, "c");
  EXPECT_EQ(parse_label(task, "n/a").label, "na");
}

// A model may say anything: broken bytes, megabytes, half of a character.
TEST(ParseLabelOfAny, StandsAnyBytes) {
  EXPECT_EQ(parse_label(polarity(true), "Positive\xff\xfe").label, "positive");
  EXPECT_EQ(parse_label(polarity(true), "\xe4\xb8").label, "");
  EXPECT_EQ(parse_label(polarity(true), std::string(1u << 20, 'a')).label, "");
  EXPECT_EQ(parse_label(polarity(true), std::string(4000, ' ') + "Positive").label, "positive");
}

TEST(Refusal, IsSeenAtTheBeginningOfAnAnswer) {
  for (const char* text :
       {"I'm sorry, but I can't help with that.", "As an AI language model, I", "抱歉，我无法回答",
        "I cannot do that", "  作为一个AI助手，我", "“I’m unable to say"}) {
    EXPECT_TRUE(is_refusal(text)) << text;
  }
}

TEST(Refusal, IsNotSeenInSympathy) {
  for (const char* text : {"I'm sorry to hear that. Take a rest!", "抱抱你，辛苦了。", "对不起让你久等了", "",
                           "Sure!", "好的，没问题", "You said: as an AI"}) {
    EXPECT_FALSE(is_refusal(text)) << text;
  }
}

}  // namespace
}  // namespace tandem
