// The verbs that look after a queue, against a broker that answers as it is told. The real one is in
// tests/system.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/client/cli/tandem_fixture.h"

namespace tandem::testing {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr const char* kNobody = "01890a5d-ac96-774b-bcce-b302099a8057";

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

TEST_F(TandemWithBroker, AJobThatIsLeftIsCollectedLater) {
  const RunResult left = tandem({"submit", "--detach", "--task", "echo", "no", "hurry"});
  ASSERT_EQ(left.status, 0) << left.err;
  const std::string id = first_line(left.out);
  EXPECT_EQ(left.out, id + "\n") << "nothing but the id, for scripts";

  RunResult one = tandem({"result", id});
  EXPECT_EQ(one.status, 0) << one.err;
  EXPECT_THAT(one.out, HasSubstr("echo: no hurry"));
  one = tandem({"result", id, "--json"});
  EXPECT_EQ(json::parse(one.out)["results"]["echo"]["text"], "echo: no hurry");
  EXPECT_EQ(json::parse(one.out)["state"], "done");

  RunResult all = tandem({"results"});
  EXPECT_EQ(all.status, 0) << all.err;
  EXPECT_THAT(all.out, AllOf(HasSubstr(id), HasSubstr("echo: no hurry")));
  all = tandem({"results", "--json", "--ack"});
  EXPECT_EQ(json::parse(all.out)["id"], id);
  all = tandem({"results"});
  EXPECT_EQ(all.status, 0) << all.err;
  EXPECT_THAT(all.out, HasSubstr("Nothing to collect for cli-ann"));
  EXPECT_EQ(tandem({"result", id}).status, 0) << "acknowledged, and still known";
}

TEST_F(TandemWithBroker, CancelDoesNotCountWhatHadItsOutcomeBefore) {
  const std::string a = first_line(tandem({"submit", "--detach", "--task", "echo", "a"}).out);
  const std::string b = first_line(tandem({"submit", "--detach", "--task", "echo", "b"}).out);
  RunResult run = tandem({"cancel", a});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(run.out, "0 jobs cancelled; 1 was done already\n");
  EXPECT_EQ(tandem({"cancel", a, b}).out, "0 jobs cancelled; 2 were done already\n");
  run = tandem({"cancel", a, "--json"});
  EXPECT_EQ(json::parse(run.out), json::parse(R"({"cancelled": 0, "already": {"done": 1}, "errors": []})"));
  EXPECT_EQ(tandem({"result", a}).status, 0) << "it keeps its outcome";
}

// A script that does not know whether its job arrived says it again.
TEST_F(TandemWithBroker, AJobThatIsSubmittedAgainUnderItsIdIsOneJob) {
  for (int i = 0; i < 2; ++i) {
    const RunResult left =
        tandem({"submit", "--detach", "--id", kNobody, "--attempts", "2", "--task", "echo", "once"});
    EXPECT_EQ(left.status, 0) << left.err;
    EXPECT_EQ(left.out, std::string(kNobody) + "\n");
    EXPECT_EQ(left.err, i == 0 ? ""
                               : "tandem submit: job " + std::string(kNobody) +
                                     " is known already, done; it is not submitted again\n");
  }
  const RunResult waited = tandem({"submit", "--id", kNobody, "--task", "echo", "once"});
  EXPECT_EQ(waited.status, 0) << waited.err;
  EXPECT_THAT(waited.out, HasSubstr("echo: once"));
  EXPECT_EQ(json::parse(tandem({"jobs", "--json"}).out)["accepted_total"], 1);
}

// One id for two texts is most likely a mistake.
TEST_F(TandemWithBroker, AnIdThatIsSaidAgainForAnotherTextIsTheOldJobAndThatIsSaid) {
  ASSERT_EQ(tandem({"submit", "--detach", "--id", kNobody, "--task", "echo", "one"}).status, 0);
  const std::string said =
      "tandem submit: job " + std::string(kNobody) +
      " is known already, done; it asks for something else, and what is asked now is not "
      "submitted\n";
  RunResult run = tandem({"submit", "--detach", "--id", kNobody, "--task", "echo", "two"});
  EXPECT_EQ(run.status, 0);
  EXPECT_EQ(run.out, std::string(kNobody) + "\n");
  EXPECT_EQ(run.err, said);
  run = tandem({"submit", "--id", kNobody, "--task", "echo", "two"});
  EXPECT_EQ(run.status, 0);
  EXPECT_THAT(run.out, HasSubstr("echo: one"));
  EXPECT_EQ(run.err, said);
}

TEST_F(TandemWithBroker, AllResultsAreCollectedHoweverManyFitIntoAnAnswer) {
  for (const char* text : {"1", "2", "3"}) {
    ASSERT_EQ(tandem({"submit", "--detach", "--client", "shop", "--task", "echo", text}).status, 0);
  }
  RunResult some = tandem({"results", "--client", "shop", "--limit", "2", "--json"});
  EXPECT_EQ(std::count(some.out.begin(), some.out.end(), '\n'), 2);
  EXPECT_THAT(some.err, HasSubstr("perhaps more"));
  RunResult all = tandem({"results", "--client", "shop", "--limit", "2", "--json", "--ack"});
  EXPECT_EQ(std::count(all.out.begin(), all.out.end(), '\n'), 3);
  EXPECT_THAT(tandem({"results", "--client", "shop", "--json"}).out, IsEmpty());
}

TEST_F(TandemWithBroker, AJobThatNobodyKnowsIsSaid) {
  RunResult run = tandem({"result", kNobody});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, AllOf(HasSubstr(kNobody), HasSubstr("found none")));
  run = tandem({"dead", "show", kNobody});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr(kNobody));
  run = tandem({"cancel", kNobody});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr(std::string(kNobody) + ": expected a job, found none"));
  EXPECT_THAT(run.out, HasSubstr("0 jobs cancelled"));
}

TEST_F(TandemWithBroker, AWorkerIsDrainedAndLentToAgain) {
  RunResult run = tandem({"drain", "here"});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("null-1"), HasSubstr("draining")));
  EXPECT_THAT(tandem({"jobs"}).out, HasSubstr("draining"));
  run = tandem({"drain", "null-1", "--undo", "--json"});
  EXPECT_EQ(json::parse(run.out)["workers"][0]["draining"], false);
  run = tandem({"drain", "nowhere"});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err, HasSubstr("found 'nowhere'"));
}

TEST_F(TandemWithBroker, TopPrintsAFrameWhereThereIsNoTerminal) {
  RunResult run = tandem({"top", "--interval", "0.1"});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("tandem top  ipc://"), HasSubstr("accepted  0.0/s"),
                             HasSubstr("null-1"), Not(HasSubstr("\033"))));
  run = tandem({"top", "--once", "--json"});
  EXPECT_EQ(json::parse(run.out)["workers"][0]["name"], "null-1");
}

// A script whose disk is full must not believe that it has the result.
TEST_F(TandemWithBroker, WhatCannotBeWrittenIsNotAcknowledged) {
  const std::string id = first_line(tandem({"submit", "--detach", "--task", "echo", "a"}).out);
  for (const Lost lost : {Lost::kDiskFull, Lost::kNobodyReads}) {
    for (const std::vector<std::string>& verb :
         std::vector<std::vector<std::string>>{{"result", id}, {"result", id, "--json"}, {"results"}}) {
      std::vector<std::string> arguments = verb;
      arguments.push_back("--ack");
      const RunResult run = tandem_lost(lost, arguments);
      EXPECT_EQ(run.status, 4) << verb.front();
      EXPECT_THAT(run.err, HasSubstr("cannot write to standard output; not acknowledged"));
      EXPECT_THAT(tandem({"results"}).out, HasSubstr(id)) << verb.front();
    }
  }
  EXPECT_THAT(tandem({"result", id, "--ack"}).out, HasSubstr("echo: a"));
  EXPECT_THAT(tandem({"results"}).out, HasSubstr("Nothing to collect"));
}

TEST_F(TandemWithBroker, OutputThatIsLostIsNoSuccess) {
  const std::string id = first_line(tandem({"submit", "--detach", "--task", "echo", "a"}).out);
  for (const std::vector<std::string>& verb :
       std::vector<std::vector<std::string>>{{"submit", "--task", "echo", "b"},
                                             {"submit", "--task", "echo", "fail"},
                                             {"submit", "--detach", "--task", "echo", "c"},
                                             {"jobs"},
                                             {"jobs", "--json"},
                                             {"dead", "ls"},
                                             {"dead", "show", id},
                                             {"top", "--interval", "0.1"},
                                             {"top", "--once", "--json"},
                                             {"results"},
                                             {"result", id},
                                             {"cancel", id},
                                             {"drain", "null-1"},
                                             {"jobs", "--help"}}) {
    RunResult run = tandem_lost(Lost::kDiskFull, verb);
    EXPECT_EQ(run.status, 4) << ::testing::PrintToString(verb);
    EXPECT_THAT(run.err, HasSubstr("tandem " + verb.front())) << ::testing::PrintToString(verb);
    EXPECT_THAT(run.err, HasSubstr("standard output: cannot write to it: No space left on device"));
    // Whoever reads with `head` has seen enough.
    if (verb.front() == "top" || verb.back() == "fail") continue;
    run = tandem_lost(Lost::kNobodyReads, verb);
    EXPECT_EQ(run.status, 0) << ::testing::PrintToString(verb);
    EXPECT_EQ(run.err, "") << ::testing::PrintToString(verb);
  }
  // What cannot be had again is said where it can be read.
  const RunResult left = tandem_lost(Lost::kDiskFull, {"submit", "--detach", "--task", "echo", "d"});
  const std::string said = "the job is in the queue: ";
  const size_t at = left.err.find(said);
  ASSERT_NE(at, std::string::npos) << left.err;
  EXPECT_THAT(tandem({"result", first_line(left.err.substr(at + said.size()))}).out, HasSubstr("echo: d"));
}

TEST_F(TandemTest, AnAllowLineThatIsLostIsSaidOtherwise) {
  const RunResult run = tandem_lost(Lost::kDiskFull, {"keygen", "ann", "--role", "client", "-o", "ann.key"});
  EXPECT_EQ(run.status, 4);
  EXPECT_THAT(run.err, HasSubstr("No space left on device; the key is made, and the line is: client "));
  EXPECT_THAT(run.err, ::testing::EndsWith(" ann\n"));
}

// Jobs that stay in the queue.
class TandemWithQueue : public TandemWithBroker {
 protected:
  TandemWithQueue() : TandemWithBroker([](FakeBroker& broker) { broker.hold = true; }) {}
  std::string leave(const std::string& text, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"submit", "--detach", "--task", "echo", text};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const RunResult left = tandem(std::move(arguments));
    EXPECT_EQ(left.status, 0) << left.err;
    return first_line(left.out);
  }
};

TEST_F(TandemWithQueue, JobsShowsHowEachWaits) {
  const std::string a = leave("a", {"--urgency", "interactive", "--priority", "9", "--ttl", "2h"});
  const std::string b = leave("b", {"--client", "shop", "--delay", "1h"});
  RunResult run = tandem({"jobs"});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("1 ready"), HasSubstr("1 delayed"), HasSubstr(a), HasSubstr(b),
                             HasSubstr("interactive"), HasSubstr("delayed 1 h 0 min"), HasSubstr("cli-ann")));
  run = tandem({"jobs", "--client", "shop", "--json"});
  const json status = json::parse(run.out);
  ASSERT_EQ(status["jobs"].size(), 1u);
  EXPECT_EQ(status["jobs"][0]["id"], b);
  EXPECT_EQ(status["jobs"][0]["urgency"], "bulk");
  EXPECT_EQ(status["clients"].size(), 2u);
  EXPECT_THAT(tandem({"jobs", "--limit", "1"}).out, HasSubstr("… and 1 more (--limit)"));
  EXPECT_THAT(tandem({"jobs", "--client", "nobody"}).out, HasSubstr("No unfinished jobs of nobody."));
}

TEST_F(TandemWithQueue, CancelEndsThoseThatAreNamedOrAllOfAClient) {
  const std::string a = leave("a");
  leave("b", {"--client", "shop"});
  leave("c", {"--client", "shop"});
  RunResult run = tandem({"cancel", a});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("1 job cancelled"));
  EXPECT_EQ(tandem({"cancel", a}).out, "0 jobs cancelled; 1 was cancelled already\n");
  run = tandem({"result", a});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr("cancelled by its client"));
  run = tandem({"cancel", "--client", "shop", "--all", "--yes", "--json"});
  EXPECT_EQ(json::parse(run.out), json::parse(R"({"cancelled": 2, "already": {}, "errors": []})"));
  EXPECT_THAT(tandem({"jobs"}).out, HasSubstr("No unfinished jobs."));
}

TEST_F(TandemWithQueue, AResultThatIsNotThereYetIsNotWaitedForWhereOneSaysSo) {
  const std::string id = leave("a");
  RunResult run = tandem({"result", id, "--no-wait"});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr("the job is ready"));
  run = tandem({"result", id, "--at-most", "10ms", "--json"});
  EXPECT_EQ(run.status, 1);
  EXPECT_EQ(json::parse(run.out)["state"], "ready");
}

// Jobs that have failed too often.
class TandemWithDeadJobs : public TandemWithBroker {
 protected:
  TandemWithDeadJobs()
      : TandemWithBroker([](FakeBroker& broker) {
          broker.end_with =
              std::pair(JobState::kDead, Error{ErrorCode::kAttempts, "given up: its worker died"});
        }) {}
  std::string die(const std::string& text) {
    return first_line(tandem({"submit", "--detach", "--task", "echo", text}).out);
  }
};

TEST_F(TandemWithDeadJobs, TheyAreListedWithTheReasonAndShownWithWhatWasAsked) {
  EXPECT_THAT(tandem({"dead", "ls"}).out, HasSubstr("No dead jobs."));
  const std::string id = die("a poisoned text");
  RunResult run = tandem({"dead", "ls"});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr(id), HasSubstr("given up: its worker died"), HasSubstr("attempts")));
  EXPECT_EQ(json::parse(tandem({"dead", "ls", "--json"}).out)[0]["error"]["code"], "attempts");
  EXPECT_THAT(tandem({"jobs", "--dead"}).out, HasSubstr(id));

  run = tandem({"dead", "show", id});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("a poisoned text"), HasSubstr("tasks     echo"),
                             HasSubstr("dead, 1 attempt"), HasSubstr("attempts: given up")));
  EXPECT_EQ(json::parse(tandem({"dead", "show", id, "--json"}).out)["request"]["text"], "a poisoned text");
}

TEST_F(TandemWithDeadJobs, TheyArePutBack) {
  const std::string id = die("1");
  die("2");
  RunResult run = tandem({"dead", "retry", id});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("1 job put back"));
  run = tandem({"dead", "retry", id});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(run.out, "0 jobs put back; 1 was ready already\n");
  run = tandem({"dead", "retry", "--all", "--json"});
  EXPECT_EQ(json::parse(run.out)["put_back"], 1);
  EXPECT_THAT(tandem({"jobs"}).out, AllOf(HasSubstr("2 ready"), HasSubstr("0 dead")));
}

// The broker forgets any finished job: a wrong id would cost a result that nobody has collected yet.
TEST_F(TandemWithBroker, WhatIsNotDeadIsNeitherDroppedNorPutBack) {
  const std::string id = first_line(tandem({"submit", "--detach", "--task", "echo", "a"}).out);
  for (const char* verb : {"drop", "retry"}) {
    const RunResult run = tandem({"dead", verb, id});
    EXPECT_EQ(run.status, 1);
    EXPECT_THAT(run.err, HasSubstr(id + ": expected a dead job, found one that is done"));
    EXPECT_THAT(run.out, HasSubstr("0 jobs "));
    EXPECT_THAT(tandem({"dead", verb, kNobody}).err, HasSubstr("expected a dead job, found none of that id"));
  }
  EXPECT_EQ(tandem({"result", id}).status, 0);
}

TEST_F(TandemWithDeadJobs, TheyAreDroppedForGood) {
  const std::string id = die("1");
  die("2");
  die("3");
  EXPECT_THAT(tandem({"dead", "drop", id}).out, HasSubstr("1 job dropped"));
  EXPECT_EQ(tandem({"result", id}).status, 1);
  EXPECT_THAT(tandem({"dead", "drop", "--all", "--yes", "--client", "nobody"}).out,
              HasSubstr("0 jobs dropped"));
  EXPECT_THAT(tandem({"dead", "drop", "--all", "--yes"}).out, HasSubstr("2 jobs dropped"));
  EXPECT_THAT(tandem({"dead", "ls"}).out, HasSubstr("No dead jobs."));
}

TEST_F(TandemWithDeadJobs, WhoWaitsForOneHearsWhy) {
  const RunResult run = tandem({"submit", "--task", "echo", "a poisoned text"});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr("given up: its worker died"));
}

class TandemWithNewerBroker : public TandemWithBroker {
 protected:
  TandemWithNewerBroker()
      : TandemWithBroker([](FakeBroker& broker) {
          broker.refuse_all = Refused{0, {ErrorCode::kUnsupported, "expected protocol version 3, found 2"}};
        }) {}
};

TEST_F(TandemWithNewerBroker, ABrokerOfAnotherVersionIsNoBroker) {
  const RunResult run = tandem({"jobs"});
  EXPECT_EQ(run.status, 3);
  EXPECT_THAT(run.err, HasSubstr("speaks version 3 of the protocol, this program version 2"));
}

}  // namespace
}  // namespace tandem::testing
