// Jobs that were given up: listed, looked at, put back, forgotten; and the poison that made them so.

#include "tests/broker/dispatcher_story.h"

namespace tandem::broker {
namespace {

class DispatcherDeadTest : public DispatcherStory {
 protected:
  void kill(const std::string& job, const std::string& client = "carl") {
    ready("ann", 1);
    submit(job, {.client = client, .attempts_max = 1});
    fail_job("ann", job, 1, "out of memory", true);
  }
  Lines dead(const std::string& client = "", uint64_t after = 0, uint32_t jobs_max = 100) {
    Lines names;
    for (const JobStatus& job : list(true, client, after, jobs_max)) names.push_back(name(job.id));
    return names;
  }
  Inspected inspect(const std::string& job) {
    hear(Door::kSubmit, "conn-carl", Inspect{7, id(job)});
    return answer<Inspected>();
  }
};

TEST_F(DispatcherDeadTest, DeadJobsAreListedInTheOrderInWhichTheyDiedAndByClient) {
  kill("one");
  kill("two", "cora");
  kill("three");
  EXPECT_THAT(dead(), ElementsAre("one", "two", "three"));
  EXPECT_THAT(dead("carl"), ElementsAre("one", "three"));
  EXPECT_THAT(dead("nobody"), IsEmpty());
  const auto first = list(true, "", 0, 1);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].state, JobState::kDead);
  EXPECT_THAT(dead("", first[0].place), ElementsAre("two", "three"));
  EXPECT_EQ(status().dead_kept, 3u);
}

TEST_F(DispatcherDeadTest, ADeadJobCanBeLookedAt) {
  kill("one");
  const Inspected seen = inspect("one");
  EXPECT_EQ(seen.job.state, JobState::kDead);
  EXPECT_EQ(seen.job.client, "carl");
  EXPECT_EQ(seen.job.attempt, 1u);
  EXPECT_EQ(inspect("nobody").job.state, JobState::kUnknown);
}

TEST_F(DispatcherDeadTest, ADeadJobThatIsPutBackHasAllItsAttemptsAndOneMoreOutcome) {
  kill("one");
  EXPECT_EQ(revive("one"), "one ready");
  EXPECT_THAT(dead(), IsEmpty());
  EXPECT_THAT(collect(), IsEmpty());
  EXPECT_EQ(fetch("one"), "one leased, attempt 1");
  finish("ann", "one", 1, "hello");
  EXPECT_EQ(fetch("one"), "one done, attempt 1: hello");
  EXPECT_THAT(collect(), ElementsAre("one"));
  restart();
  EXPECT_EQ(fetch("one"), "one done, attempt 1: hello");
}

TEST_F(DispatcherDeadTest, PutBackItIsStillThereAfterARestart) {
  kill("one");
  goodbye("ann");
  revive("one");
  restart();
  EXPECT_EQ(fetch("one"), "one ready");
  EXPECT_EQ(submit("one"), "one ready");
}

TEST_F(DispatcherDeadTest, OnlyDeadJobsArePutBackAndTwiceIsOnce) {
  kill("one");
  EXPECT_EQ(revive("nobody"), "nobody refused: not_found");
  submit("living", {.delay_ms = 1'000});
  EXPECT_EQ(revive("living"), "living ready");
  cancel("living");
  EXPECT_EQ(revive("living"), "living refused: invalid");
  goodbye("ann");
  EXPECT_EQ(revive("one"), "one ready");
  EXPECT_EQ(revive("one"), "one ready");
}

TEST_F(DispatcherDeadTest, AJobWhoseTimeIsOverIsNotPutBack) {
  ready("ann", 1);
  submit("one", {.attempts_max = 1, .ttl_ms = 5'000});
  fail_job("ann", "one", 1, "out of memory", true);
  pass(5s);
  EXPECT_EQ(revive("one"), "one refused: expired");
}

TEST_F(DispatcherDeadTest, AFinishedJobCanBeForgottenAndAnotherNot) {
  kill("one");
  EXPECT_EQ(forget("one"), "one forgotten");
  EXPECT_EQ(fetch("one"), "one unknown");
  EXPECT_THAT(journal_.facts(), IsEmpty());
  submit("living");
  EXPECT_EQ(forget("living"), "living refused: invalid");
  EXPECT_EQ(forget("nobody"), "nobody refused: not_found");
}

// All in one turn: what each is told is true when it is told, and the journal agrees.
TEST_F(DispatcherDeadTest, EverythingInTheSameTurn) {
  kill("one");
  kill("two");
  goodbye("ann");
  std::vector<Event> events;
  const Address admin{Door::kSubmit, "conn-admin"};
  events.push_back({admin, Revive{1, {id("one")}}});
  events.push_back({admin, Forget{2, {id("one"), id("two")}}});
  events.push_back({admin, List{3, true, "", 0, 10}});
  events.push_back({admin, Cancel{4, {id("one")}}});
  events.push_back({admin, Forget{5, {id("one")}}});
  events.push_back({admin, Revive{6, {id("one"), id("two")}}});
  turn(std::move(events));
  ASSERT_EQ(answers_.size(), 6u);
  const auto errors = [&](size_t i) {
    std::vector<ErrorCode> codes;
    for (const AcceptedItem& item : std::get<Accepted>(answers_[i]).items) {
      codes.push_back(item.error.text.empty() ? ErrorCode{} : item.error.code);
    }
    return codes;
  };
  EXPECT_THAT(errors(0), ElementsAre(ErrorCode{}));
  EXPECT_THAT(errors(1), ElementsAre(ErrorCode::kInvalid, ErrorCode{}));  // "one" is on its way again
  EXPECT_THAT(std::get<Listed>(answers_[2]).jobs, IsEmpty());
  EXPECT_THAT(errors(3), ElementsAre(ErrorCode{}));
  EXPECT_THAT(errors(4), ElementsAre(ErrorCode::kUnavailable));  // cancelled this very moment
  EXPECT_THAT(errors(5), ElementsAre(ErrorCode::kInvalid, ErrorCode::kNotFound));
  answers_.clear();
  restart();
  EXPECT_EQ(fetch("one"), "one cancelled: cancelled by a client");
  EXPECT_EQ(fetch("two"), "two unknown");
}

TEST_F(DispatcherDeadTest, AJobThatDiesInThisTurnIsPutBackInTheNext) {
  ready("ann", 1);
  submit("one", {.attempts_max = 1});
  std::vector<Event> events;
  const Error wrong{ErrorCode::kInternal, "out of memory"};
  events.push_back({{Door::kResults, ""}, ResultMessage{"ann", {{id("one"), 1, wrong, true, ""}}}});
  events.push_back({{Door::kSubmit, "conn-carl"}, Revive{1, {id("one")}}});
  turn(std::move(events));
  EXPECT_EQ(answer<Accepted>().items.at(0).error.code, ErrorCode::kUnavailable);
  EXPECT_EQ(revive("one"), "one ready");
}

// A complaint about other queues: the job that kills its workers is recovered for ever, also by people who
// put it back and by equal jobs that come after it.
TEST_F(DispatcherDeadTest, APoisonJobIsNotRecoveredForEver) {
  submit("poison", {.attempts_max = 3});
  submit("twin", {.attempts_max = 3, .of = "poison"});
  int n_victims = 0;
  for (int life = 0; life < 2; ++life) {
    for (int i = 0; i < 10; ++i) {
      ready("ann", 1, {}, "connection " + std::to_string(i) + " of life " + std::to_string(life));
      n_victims += static_cast<int>(assignments().size());
      die("ann");
      pass(2s);
    }
    EXPECT_THAT(dead(), UnorderedElementsAre("poison", "twin"));
    if (life == 0) revive("poison"), forget("twin"), submit("twin", {.attempts_max = 3, .of = "poison"});
  }
  EXPECT_EQ(n_victims, 6);
}

// Those that were at a worker with it lose an attempt each time, but do not die with it.
TEST_F(DispatcherDeadTest, APoisonJobTakesNobodyWithIt) {
  for (const uint32_t attempts_max : {2u, 3u, 5u}) {
    SCOPED_TRACE(attempts_max);
    const std::string of = " of " + std::to_string(attempts_max);
    Lines names = {"poison" + of};
    for (int i = 0; i < 19; ++i) names.push_back("bystander " + std::to_string(i) + of);
    submit_all(names, {.attempts_max = attempts_max});
    for (int i = 0; i < 10; ++i) {
      const std::string worker = "worker " + std::to_string(i) + of;
      ready(worker, 128);
      const bool is_first = i == 0;
      for (Lines lent = assignments(); is_alive(worker) && (is_first || !lent.empty());
           lent = assignments()) {
        for (const std::string& line : lent) {
          const std::string name = line.substr(0, line.find(" -> "));
          if (name == names[0]) die(worker);
        }
        for (const std::string& line : lent) {
          const std::string name = line.substr(0, line.find(" -> "));
          const auto attempt = static_cast<uint32_t>(std::stoul(line.substr(line.rfind(' '))));
          if (is_alive(worker)) finish(worker, name, attempt, "done");
        }
        pass(30s);
      }
      if (is_alive(worker)) goodbye(worker);
      pass(30s);
    }
    EXPECT_THAT(fetch(names[0]), HasSubstr("dead"));
    for (size_t i = 1; i < names.size(); ++i) EXPECT_THAT(fetch(names[i]), HasSubstr("done"));
  }
}

// Whoever goes out alone does not hold up the others, and does not wait for ever behind them.
TEST_F(DispatcherDeadTest, AJobThatGoesOutAloneGetsItsTurnAtABusyWorker) {
  submit("suspect", {.attempts_max = 2});
  ready("bert", 5);
  die("bert");
  pass(11s);
  assignments();
  submit_all({"one", "two", "three"}, {});
  ready("ann", 2);
  EXPECT_THAT(assignments(), ElementsAre("suspect -> ann, attempt 2"));
  ready("cleo", 2);
  EXPECT_THAT(assignments(), ElementsAre("one -> cleo, attempt 1", "two -> cleo, attempt 1"));
  finish("ann", "suspect", 2, "nothing was wrong");
  EXPECT_THAT(assignments(), ElementsAre("three -> ann, attempt 1"));
}

TEST_F(DispatcherDeadTest, AWorkerIsKeptFreeWhenAllAreBusy) {
  ready("ann", 2);
  submit_all({"one", "two", "three"}, {});
  submit("suspect", {.attempts_max = 2, .priority = 9});
  ready("bert", 1);
  EXPECT_THAT(assignments(),
              ElementsAre("one -> ann, attempt 1", "two -> ann, attempt 1", "suspect -> bert, attempt 1"));
  die("bert");
  pass(11s);
  finish("ann", "one", 1, "done");
  EXPECT_THAT(assignments(), IsEmpty());
  finish("ann", "two", 1, "done");
  EXPECT_THAT(assignments(), ElementsAre("suspect -> ann, attempt 2"));
  finish("ann", "suspect", 2, "done");
  EXPECT_THAT(assignments(), ElementsAre("three -> ann, attempt 1"));
}

}  // namespace
}  // namespace tandem::broker
