// The same text goes to the same host: real workers under different host names, each with a cache of its own,
// so that an answer from a cache proves who was asked.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <map>
#include <string>

#include "tests/system/deployment.h"

namespace tandem::testing {
namespace {

using nlohmann::json;

constexpr int kTexts = 40;

class Routing : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string lines;
    for (int i = 0; i < kTexts; ++i) {
      lines +=
          json{{"id", i}, {"text", "The room number " + std::to_string(i) + " was lovely."}}.dump() + "\n";
    }
    in_ = here_.write("in.jsonl", lines);
  }

  // On a host of its own, as far as anybody can see.
  Process start_worker(const std::string& name) {
    return here_.start_worker(name, kDemoModel,
                              {"worker.host=host-of-" + name, "cache.folder=" + here_.path("cache-" + name)});
  }

  struct Asked {
    std::string worker, source;
  };
  // All texts, one after the other: with nothing else lent, no host is too busy for what is its own.
  std::map<int, Asked> ask() {
    const std::string out = here_.path("out.jsonl");
    const RunResult run = here_.tandem(
        {"run", in_, "-o", out, "--force", "--details", "--tasks", "sentiment", "--outstanding", "1"});
    EXPECT_EQ(run.status, 0) << run.err;
    std::map<int, Asked> asked;
    for (const json& row : rows_of(here_.read("out.jsonl"))) {
      const json& result = row.at("results").at("sentiment");
      asked[row.at("id")] = {result.at("worker"), result.at("source")};
    }
    EXPECT_EQ(asked.size(), static_cast<size_t>(kTexts));
    return asked;
  }
  static int share(const std::map<int, Asked>& asked, const std::string& worker) {
    int n = 0;
    for (const auto& [id, one] : asked) n += one.worker == worker ? 1 : 0;
    return n;
  }

  Deployment here_;
  std::string in_;
};

TEST_F(Routing, TheSameTextMeetsTheSameCacheAndALeavingHostMovesOnlyItsShare) {
  const Process broker = here_.start_broker();
  const Process ann = start_worker("ann");
  auto bob = std::make_unique<Process>(start_worker("bob"));

  const auto first = ask();
  for (const auto& [id, one] : first) EXPECT_EQ(one.source, "model") << id;
  // 40 texts and two hosts: nobody goes without (by chance once in 2^39).
  EXPECT_GT(share(first, "ann"), 0);
  EXPECT_GT(share(first, "bob"), 0);

  const auto second = ask();
  for (const auto& [id, one] : second) {
    EXPECT_EQ(one.worker, first.at(id).worker) << id;
    EXPECT_EQ(one.source, "exact") << id;
  }

  bob->kill(SIGTERM);
  ASSERT_EQ(bob->wait(), 0) << bob->err();
  const auto without_bob = ask();
  for (const auto& [id, one] : without_bob) {
    EXPECT_EQ(one.worker, "ann") << id;
    EXPECT_EQ(one.source, first.at(id).worker == "ann" ? "exact" : "model") << id;
  }

  // Back on its host, with the cache that it left there: everything is as it was.
  bob = std::make_unique<Process>(start_worker("bob"));
  for (const auto& [id, one] : ask()) {
    EXPECT_EQ(one.worker, first.at(id).worker) << id;
    EXPECT_EQ(one.source, "exact") << id;
  }
}

TEST_F(Routing, AJoiningHostTakesItsShareAndLeavesTheRestWhereItIs) {
  const Process broker = here_.start_broker();
  const Process ann = start_worker("ann"), bob = start_worker("bob");
  const auto before = ask();
  const Process carol = start_worker("carol");
  const auto after = ask();
  EXPECT_GT(share(after, "carol"), 0);
  EXPECT_LT(share(after, "carol"), kTexts * 2 / 3);
  for (const auto& [id, one] : after) {
    if (one.worker == "carol") {
      EXPECT_EQ(one.source, "model") << id;
    } else {
      EXPECT_EQ(one.worker, before.at(id).worker) << id;
      EXPECT_EQ(one.source, "exact") << id;
    }
  }
}

}  // namespace
}  // namespace tandem::testing
