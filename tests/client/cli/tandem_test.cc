// The program itself: what it says about itself, and what it says about wrong usage. Whole runs are in
// tests/system.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/client/cli/tandem_fixture.h"

namespace tandem::testing {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST_F(TandemTest, HelpIsEnoughToStartWith) {
  RunResult help = tandem({"--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_THAT(help.err, IsEmpty());
  EXPECT_THAT(help.out, AllOf(HasSubstr("start a private broker and worker"),
                              HasSubstr("submit --detach and the verbs around the queue need a broker")));
  EXPECT_THAT(tandem({"submit", "--help"}).out, AllOf(HasSubstr("a private broker and\nworker are started"),
                                                      HasSubstr("needs a broker that runs")));
  for (const std::string verb : {"run", "submit", "chat", "results", "result", "jobs", "top", "dead",
                                 "cancel", "drain", "show", "bench", "keygen"}) {
    EXPECT_THAT(help.out, HasSubstr("\n  " + verb));
    const RunResult of_verb = tandem({verb, "--help"});
    EXPECT_EQ(of_verb.status, 0);
    EXPECT_THAT(of_verb.out, HasSubstr("Example")) << verb;
    EXPECT_THAT(of_verb.out, HasSubstr("  tandem " + verb)) << verb;
  }
  EXPECT_THAT(tandem({"--version"}).out, HasSubstr("tandem "));
}

TEST_F(TandemTest, WrongUsageIsStatusTwoWithTheWordThatIsWrong) {
  const std::string in = write("in.jsonl", "{\"text\": \"x\"}\n");
  const std::string there = write("there.jsonl", "");
  const std::string run1 = write("run1.json", R"([{"name": "a", "value": 1, "unit": "s"}])");
  const std::string other = write("other.json", R"([{"name": "b", "value": 1, "unit": "s"}])");
  const struct {
    std::vector<std::string> arguments;
    const char* expected;
  } cases[] = {
      {{}, "--help"},
      {{"frobnicate"}, "frobnicate"},
      {{"run"}, "IN is required"},
      {{"run", "nowhere.jsonl"}, "tandem run: nowhere.jsonl: cannot open: No such file"},
      {{"run", in, "--tusks", "reply"}, "--tusks"},
      {{"run", in, "--tasks", ","}, "--tasks"},
      {{"run", in, "--max-tokens", "-5"}, "--max-tokens"},
      {{"run", in, "--outstanding", "0"}, "--outstanding"},
      {{"run", in, "--temperature", "hot"}, "--temperature"},
      {{"run", in, "--top-p", "1.5"}, "--top-p"},
      {{"run", in, "--variable", "novalue"}, "NAME=VALUE"},
      {{"run", in, "--progress", "loud"}, "auto, bar, json or none"},
      {{"run", in, "-o", there}, "is there already; --force"},
      {{"run", in, "-o", in, "--force"}, "another file than the input"},
      {{"run", in, "-o", "no/such/folder/out"}, "no/such/folder/out"},
      {{"run", in, "--broker", "tcp://127.0.0.1:1"}, "SUBMIT,RESULTS"},
      {{"run", in, "--broker", "x,y"}, "'x'"},
      {{"run", in, "--model", "m", "--broker", "x"}, "--model"},
      {{"run", in, "--config", "nowhere.toml"}, "nowhere.toml"},
      {{"submit"}, "expected a text"},
      {{"submit", "\xC3\x28"}, "UTF-8"},
      {{"show", in}, "in.jsonl:1: expected an object with \"results\""},
      {{"jobs", "--model", "m"}, "--model"},
      {{"submit", "x", "--priority", "10"}, "--priority"},
      {{"submit", "x", "--urgency", "very"}, "--urgency"},
      {{"submit", "x", "--id", "7"}, "--id: "},
      {{"submit", "x", "--attempts", "101"}, "--attempts"},
      {{"submit", "x", "--ttl", "soon"}, "--ttl: expected a duration such as 250ms"},
      {{"submit", "x", "--ttl", "1h", "--delay", "2h"}, "--ttl: expected more than the --delay of 2h"},
      {{"submit", "x", "--ttl", "400d"}, "--ttl: expected at most a year"},
      {{"run", in, "--delay", "-1s"}, "--delay"},
      {{"result"}, "ID is required"},
      {{"result", "x"}, "x"},
      {{"cancel"}, "expected ids of jobs, or --client NAME --all"},
      {{"cancel", "not-an-id"}, "not-an-id"},
      {{"cancel", "--all"}, "--client and --all together"},
      {{"cancel", "--client", "shop"}, "--client NAME --all"},
      {{"cancel", "--client", "shop", "--all"}, "expected --yes with --all"},
      {{"dead", "drop", "--all"}, "expected --yes with --all"},
      {{"dead"}, "tandem dead --help"},
      {{"dead", "retry"}, "expected ids of dead jobs, or --all"},
      {{"dead", "drop", "--all", "x"}, "x"},
      {{"dead", "show"}, "ID is required"},
      {{"drain"}, "NAME is required"},
      {{"top", "--interval", "0"}, "--interval"},
      {{"bench"}, "tandem bench --help"},
      {{"bench", "compare", run1}, "Try: tandem bench compare --help"},
      {{"bench", "compare", run1, "nowhere.json"}, "nowhere.json: cannot open: No such file"},
      {{"bench", "compare", in, run1}, "in.jsonl: expected a list of rows, found {"},
      {{"bench", "compare", run1, there},
       "there.jsonl: expected the rows that a benchmark writes with --json"},
      {{"bench", "compare", run1, other}, "other.json: expected two runs of one benchmark"},
      {{"bench", "compare", run1, run1, "--threshold", "0.05"}, "such as 5%, found '0.05'"},
      {{"bench", "compare", run1, run1, "--threshold", "-1%"}, "found '-1%'"},
      {{"bench", "compare", run1, run1, "--threshold", "nan%"}, "found 'nan%'"},
  };
  for (const auto& one : cases) {
    const RunResult run = tandem(one.arguments);
    EXPECT_EQ(run.status, 2) << ::testing::PrintToString(one.arguments) << run.err;
    EXPECT_THAT(run.err, HasSubstr(one.expected)) << ::testing::PrintToString(one.arguments);
    EXPECT_THAT(run.out, IsEmpty());
  }
}

TEST_F(TandemTest, MistakesInTheConfigAreAllNamed) {
  const std::string config = write("client.toml", "[client]\nsubmt = \"x\"\nresults = 5\n");
  const RunResult run = tandem({"jobs", "--config", config});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err, AllOf(HasSubstr("client.toml:2"), HasSubstr("submt"), HasSubstr("client.toml:3")));
}

TEST_F(TandemTest, WithoutABrokerItSaysWhatItTriedAndWhatToDo) {
  const RunResult run = tandem({"jobs"});
  EXPECT_EQ(run.status, 3);
  EXPECT_THAT(run.err, AllOf(HasSubstr("no broker answers at ipc://" + (folder_ / "nobody/submit").string()),
                             HasSubstr("tandem-broker"), HasSubstr("--broker")));
}

TEST_F(TandemTest, ARunThatNeverBeganLeavesNothingBehind) {
  const std::string in = write("in.jsonl", "{\"text\": \"x\"}\n");
  const std::string out = (folder_ / "out.jsonl").string();
  EXPECT_EQ(tandem({"run", in, "-o", out, "--broker", (folder_ / "nobody").string()}).status, 3);
  for (const char* suffix : {"", ".partial", ".partial.lock"})
    EXPECT_FALSE(std::filesystem::exists(out + suffix));
}

TEST_F(TandemTest, ComparingTwoRunsOfABenchmarkIsStatusOneOnceSomethingIsWorseThanTheThreshold) {
  const auto run = [&](const std::string& name, double value) {
    return write(name, json{{{"name", "queue.replay"}, {"value", value}, {"unit", "jobs/s"}}}.dump());
  };
  const std::string old_run = run("old.json", 1000), at_five = run("at.json", 950);
  const std::string below = run("below.json", 949), out = (folder_ / "compared.json").string();

  RunResult compared = tandem({"bench", "compare", old_run, at_five});
  EXPECT_EQ(compared.status, 0) << compared.err;
  EXPECT_THAT(compared.out, HasSubstr("1 row: 0 regressions, 1 within 5 %"));
  compared = tandem({"bench", "compare", old_run, below, "--json", out});
  EXPECT_EQ(compared.status, 1) << compared.err;
  EXPECT_THAT(compared.out,
              AllOf(HasSubstr("-5.1 %"), HasSubstr("regression by value"), Not(HasSubstr("\033"))));
  EXPECT_EQ(json::parse(std::ifstream(out))["regressions"], 1);
  EXPECT_EQ(tandem({"bench", "compare", old_run, below, "--threshold", "5.1 %"}).status, 0);
  EXPECT_EQ(tandem({"bench", "compare", below, old_run}).status, 0) << "better is not worse";

  compared = tandem({"bench", "compare", old_run, below, "--json", (folder_ / "no/such/folder").string()});
  EXPECT_EQ(compared.status, 2);
  EXPECT_THAT(compared.err, HasSubstr("no/such/folder"));
}

TEST_F(TandemWithBroker, ABrokenLineInTheMiddleIsAnErrorRowAndTheRunGoesOn) {
  const std::string in = write("in.jsonl",
                               "{\"id\": 1, \"text\": \"a\", \"shop\": \"west\"}\n"
                               "{\"id\": 2, \"te\n"
                               "{\"id\": 3, \"text\": \"c\"}\n");
  const std::string out = (folder_ / "out.jsonl").string();
  const RunResult run = tandem({"run", in, "-o", out, "--tasks", "echo"});
  EXPECT_EQ(run.status, 1) << run.err;
  EXPECT_THAT(run.err, HasSubstr("3 rows, 1 failed, 0 cached"));
  EXPECT_THAT(run.err, Not(HasSubstr("\r"))) << "no bar where there is no terminal";

  std::ifstream file(out);
  std::vector<json> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(json::parse(line));
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0]["results"]["echo"]["text"], "echo: a");
  EXPECT_EQ(rows[0]["shop"], "west");
  EXPECT_EQ(rows[1]["error"]["line"], 2);
  EXPECT_EQ(rows[1]["error"]["code"], "invalid");
  EXPECT_EQ(rows[2]["id"], 3);

  const RunResult table = TandemTest::tandem({"show", out, "--width", "80"});
  EXPECT_EQ(table.status, 0) << table.err;
  EXPECT_THAT(table.out, AllOf(HasSubstr("echo: c"), HasSubstr("(line 2)"), HasSubstr("3 rows, 1 failed")));
}

TEST_F(TandemWithBroker, StandardInputToStandardOutputInAPipe) {
  std::string lines;
  for (int i = 0; i < 500; ++i) lines += json{{"text", std::to_string(i)}}.dump() + "\n";
  const RunResult run =
      tandem({"run", "-", "--tasks", "echo", "--progress", "json", "--outstanding", "50"}, lines);
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(std::count(run.out.begin(), run.out.end(), '\n'), 500);
  EXPECT_THAT(run.err, HasSubstr("\"done\":500"));
}

TEST_F(TandemWithBroker, SubmitAnswersOneText) {
  RunResult run = tandem({"submit", "--task", "echo", "good", "morning"});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("echo: good morning  (model"));
  run = tandem({"submit", "--task", "echo", "--json"}, "from a pipe\n");
  EXPECT_EQ(json::parse(run.out)["results"]["echo"]["text"], "echo: from a pipe");
  run = tandem({"submit", "--task", "echo", "fail"});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.out, HasSubstr("too_long"));
}

TEST_F(TandemWithBroker, ChatInAPipeAnswersEveryLine) {
  const RunResult run = tandem({"chat"}, "hello\n我很开心\n\n/reset\nbye\n/quit\nnot read\n");
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(run.out,
            "sentiment: hello\nreply: hello\nsentiment-zh: 我很开心\nreply: 我很开心\nsentiment: bye\nreply: "
            "bye\n");
}

TEST_F(TandemWithBroker, JobsTellsWhatTheBrokerDoes) {
  RunResult run = tandem({"jobs"});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("0 ready"), HasSubstr("null-1")));
  run = tandem({"jobs", "--json"});
  EXPECT_TRUE(json::parse(run.out).contains("workers"));
}

}  // namespace
}  // namespace tandem::testing
