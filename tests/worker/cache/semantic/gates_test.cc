#include "worker/cache/semantic/gates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tandem::semantic {
namespace {

// The gate that refuses, "" if none does; the same from both sides.
std::string refused(const std::string& a, const std::string& b) {
  const auto there = check_gates(facts_of(a), facts_of(b));
  const auto back = check_gates(facts_of(b), facts_of(a));
  EXPECT_EQ(there.has_value(), back.has_value()) << a << " | " << b;
  if (there && back) {
    EXPECT_EQ(there->gate, back->gate) << a << " | " << b;
  }
  return there ? std::string(to_string(there->gate)) : "";
}

TEST(Gates, LetTheSameQuestionInOtherWordsPass) {
  EXPECT_EQ(refused("怎么开通花呗", "花呗如何开通"), "");
  EXPECT_EQ(refused("How do I reset my password?", "how can I reset my password"), "");
  EXPECT_EQ(refused("What is the capital of France?", "what's the capital of france"), "");
  EXPECT_EQ(refused("你有没有喜欢的人", "有喜欢的人么"), "") << "有没有 asks and denies nothing";
  EXPECT_EQ(refused("能不能提前还款", "可以提前还款吗"), "");
}

TEST(Gates, RefuseAnotherNumber) {
  EXPECT_EQ(refused("3天后到账吗", "5天后到账吗"), "number");
  EXPECT_EQ(refused("三天后到账吗", "3天后到账吗"), "");
  EXPECT_EQ(refused("３天后到账吗", "3天后到账吗"), "") << "full-width digits are digits";
  EXPECT_EQ(refused("二零一五年的冠军是谁", "2015年的冠军是谁"), "");
  EXPECT_EQ(refused("还款一百二十元可以吗", "还款120元可以吗"), "");
  EXPECT_EQ(refused("还款一百二十元可以吗", "还款102元可以吗"), "number");
  EXPECT_EQ(refused("借5万怎么还", "借50000怎么还"), "");
  EXPECT_EQ(refused("借5万怎么还", "借5千怎么还"), "number");
  EXPECT_EQ(refused("利率是百分之五吗", "利率是5%吗"), "");
  EXPECT_EQ(refused("how much is 1,000 dollars in euros", "how much is 1000 dollars in euros"), "");
  EXPECT_EQ(refused("a list of twenty five cities", "a list of 25 cities"), "");
  EXPECT_EQ(refused("a list of twenty five cities", "a list of 20 cities"), "number");
  EXPECT_EQ(refused("how far is 5 km by bus", "how far is 5 miles by bus"), "number");
  EXPECT_EQ(refused("how to lose weight in 2 weeks", "how to lose weight"), "number");
  EXPECT_EQ(refused("从3点到5点有车吗", "从5点到3点有车吗"), "number") << "their order counts";
  EXPECT_EQ(refused("will it rain on monday here", "will it rain on friday here"), "number");
  EXPECT_EQ(refused("明天天气怎么样", "昨天天气怎么样"), "number");
}

TEST(Gates, HoldANumberThatSaysNothingForNone) {
  EXPECT_EQ(refused("介绍一下北京的景点", "介绍北京的景点"), "");
  EXPECT_EQ(refused("今天天气怎么样呢", "天气怎么样呢"), "");
  EXPECT_EQ(refused("which one is the best phone", "which is the best phone"), "");
  EXPECT_EQ(refused("买一个手机多少钱", "买两个手机多少钱"), "number") << "but not for another";
}

TEST(Gates, RefuseANegationMoreOrLess) {
  EXPECT_EQ(refused("花呗可以提前还款", "花呗不可以提前还款"), "negation");
  EXPECT_EQ(refused("why do cats purr at night", "why do cats not purr at night"), "negation");
  EXPECT_EQ(refused("why can I log in here", "why can't I log in here"), "negation");
  EXPECT_EQ(refused("why can’t I log in here", "why cannot I log in here"), "") << "a typographic apostrophe";
  EXPECT_EQ(refused("tea with sugar in it", "tea without sugar in it"), "negation");
  EXPECT_EQ(refused("这个非常好用", "这个好用得很"), "") << "非常 denies nothing";
}

TEST(Gates, RefuseTheOpposite) {
  EXPECT_EQ(refused("如何开通花呗", "如何关闭花呗"), "negation");
  EXPECT_EQ(refused("怎么绑定银行卡", "怎么解绑银行卡"), "negation");
  EXPECT_EQ(refused("how to enable dark mode", "how to disable dark mode"), "negation");
  EXPECT_EQ(refused("increasing the limit of a card", "decreasing the limit of a card"), "negation");
  EXPECT_EQ(refused("Do men expect too much from women?", "Do women expect too much from men?"), "negation");
  EXPECT_EQ(refused("is it a lucky number for her", "is it an unlucky number for her"), "negation");
  EXPECT_EQ(refused("男生喜欢什么礼物", "女生喜欢什么礼物"), "negation");
}

TEST(Gates, RefuseAnotherName) {
  EXPECT_EQ(refused("What is the capital of France?", "What is the capital of Spain?"), "name");
  EXPECT_EQ(refused("what is the capital of France?", "what is the capital of spain?"), "name");
  EXPECT_EQ(refused("怎么下载QQ音乐", "怎么下载MSN音乐"), "name");
  EXPECT_EQ(refused("怎么下载qq音乐", "怎么下载QQ音乐"), "");
  EXPECT_EQ(refused("write to ann@x.org about it", "write to bob@x.org about it"), "name");
  EXPECT_EQ(refused("what is at http://x.org/a there", "what is at http://x.org/b there"), "name");
  EXPECT_EQ(refused("《红楼梦》的作者是谁", "《西游记》的作者是谁"), "name");
  EXPECT_EQ(refused("《红楼梦》的作者是谁", "红楼梦的作者是谁"), "");
}

TEST(Gates, RefuseAnotherLanguageAndAnotherLength) {
  EXPECT_EQ(refused("weather in Beijing", "北京的天气怎么样呢请问"), "language");
  EXPECT_EQ(refused("北京的天气", "北京的天气怎么样呢请问需要带雨伞吗"), "length");
}

// "Yes" and "continue" of one conversation must not answer those of another.
TEST(Gates, RefuseWhatMeansNothingAlone) {
  for (const std::string text :
       {"yes", "continue", "Go on!", "好的", "继续", "继续。", "", " ", "?", "Tell me more", "\xff"}) {
    EXPECT_EQ(refused(text, text), "too_short") << text;
    EXPECT_TRUE(check_alone(facts_of(text))) << text;
  }
  EXPECT_FALSE(check_alone(facts_of("tell me more about bees")));
}

TEST(Gates, SayWhatWasFound) {
  const auto refusal = check_gates(facts_of("wait 3 kg of rice"), facts_of("wait 5 kg of rice"));
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->found, "numbers: '3 kg' in the question, '5 kg' in the donor's");
}

TEST(Gates, TakeAnyBytes) {
  std::string text;
  uint32_t state = 7;
  for (int i = 0; i < 5000; ++i) {
    state = state * 1664525 + 1013904223;
    text += static_cast<char>(state >> 24);
    if (i % 97 == 0) (void)facts_of(text.substr(text.size() / 2));
  }

  EXPECT_EQ(
      refused("一二三四五六七八九十百千万亿亿亿亿亿亿亿亿是多少", "是多少呢亿亿亿亿亿亿亿一二三四五六七八"),
      "number");
}

}  // namespace
}  // namespace tandem::semantic
