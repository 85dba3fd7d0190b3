// A session on real sockets, with a broker that the test plays.

#include "worker/session/session.h"

#include <gmock/gmock.h>

#include <atomic>
#include <optional>
#include <thread>

#include "shared/net/wait.h"
#include "tests/support/temp_dir.h"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using testing::TempDir;

constexpr Duration kPatience = 20s;  // how long the test waits for what must come

class SessionTest : public ::testing::Test {
 protected:
  ~SessionTest() override {
    if (thread_.joinable()) stop();
  }

  void start_broker() {
    open_work();
    open_results();
  }
  void open_work() {
    auto work = RouterSocket::bind(broker_net_.emplace(), endpoint("work"));
    ASSERT_TRUE(work) << work.error().text;
    work_.emplace(std::move(*work));
  }
  void open_results() {
    auto results = PullSocket::bind(*broker_net_, endpoint("results"));
    ASSERT_TRUE(results) << results.error().text;
    results_.emplace(std::move(*results));
  }
  void kill_broker() {
    work_.reset();
    results_.reset();
    broker_net_.reset();  // waits until the addresses are free again
  }
  std::string endpoint(const std::string& name) const { return "ipc://" + (folder_ / name).string(); }

  void start(Duration drain = Duration::zero()) {
    SessionOptions options;
    options.work_endpoint = endpoint("work");
    options.results_endpoint = endpoint("results");
    options.hello.worker = "ann";
    options.hello.credit_max = 8;
    options.hello.interactive_extra = 2;
    options.hello.cost_max = 4096;
    options.hello.tasks = {"reply"};
    options.patience = 50ms;
    options.drain = drain;
    options.desk = &desk_;
    auto session = Session::open(net_, std::move(options), clock_, inbox_, wake_, frontend_);
    ASSERT_TRUE(session) << session.error().text;
    thread_ = std::thread([this, running = std::move(*session)]() mutable {
      ended_ = running.run(
          stop_wake_, [this] { return stop_.load(); }, [this] { ++n_welcomes_; });
    });
  }
  void ask_to_stop() {
    stop_ = true;
    stop_wake_.set();
  }
  void stop() {
    ask_to_stop();
    thread_.join();
  }

  // The next message of this kind on the work socket; others (heartbeats) are passed over.
  template <typename M>
  std::optional<M> next() {
    const TimePoint until = clock_.now() + kPatience;
    while (clock_.now() < until) {
      while (auto received = work_->receive()) {
        if (!received->message) continue;
        peer_ = received->peer;
        if (auto* message = std::get_if<M>(&*received->message)) return std::move(*message);
      }
      wait({*work_}, 100ms);
    }
    ADD_FAILURE() << "nothing came";
    return std::nullopt;
  }
  template <typename M>
  std::optional<M> next_result() {
    const TimePoint until = clock_.now() + kPatience;
    while (clock_.now() < until) {
      while (auto received = results_->receive()) {
        if (!*received) continue;
        if (auto* message = std::get_if<M>(&**received)) return std::move(*message);
      }
      wait({*results_}, 100ms);
    }
    ADD_FAILURE() << "nothing came";
    return std::nullopt;
  }
  void say(const Message& message) { EXPECT_TRUE(work_->send(peer_, message)); }
  void welcome() {
    ASSERT_TRUE(next<Hello>());
    say(Welcome{.lease_ms = 60'000, .heartbeat_ms = 20});
  }
  // What the frontend hears, at least so many.
  std::vector<ToFrontend> at_frontend(size_t n) {
    std::vector<ToFrontend> all;
    while (all.size() < n) {
      auto more = frontend_.wait_for(kPatience);
      if (more.empty()) break;
      for (ToFrontend& one : more) all.push_back(std::move(one));
    }
    EXPECT_THAT(all, SizeIs(n));
    return all;
  }
  static Job lend(const JobId& id, uint32_t attempt = 1) { return Job{60'000, {{id, attempt, "payload"}}}; }
  static ResultItem result(const JobId& id, uint32_t attempt = 1) {
    return {id, attempt, {}, false, "answer"};
  }

  TempDir folder_;
  SystemClock clock_;
  NetContext net_;
  std::optional<NetContext> broker_net_;
  std::optional<RouterSocket> work_;
  std::optional<PullSocket> results_;
  std::string peer_;

  Wake wake_, stop_wake_;
  Inbox<FromFrontend> inbox_{&wake_};
  SnapshotDesk<SessionFigures> desk_{clock_, wake_};
  Inbox<ToFrontend> frontend_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> n_welcomes_ = 0;
  Result<size_t> ended_ = 0;  // the number of jobs left unfinished
  std::thread thread_;
};

TEST_F(SessionTest, TakesAJobAndBringsPartsAndResultBack) {
  start_broker();
  start();
  const auto hello = next<Hello>();
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->worker, "ann");
  EXPECT_EQ(hello->credit_max, 8u);
  EXPECT_EQ(hello->interactive_extra, 2u);
  EXPECT_EQ(hello->cost_max, 4096u);
  EXPECT_THAT(hello->tasks, ElementsAre("reply"));
  say(Welcome{60'000, 20});

  const JobId id = make_job_id();
  say(lend(id, 3));
  const auto heard = at_frontend(1);
  ASSERT_THAT(heard, SizeIs(1));
  EXPECT_EQ(std::get<LeasedJob>(heard[0]).id, id);
  EXPECT_EQ(std::get<LeasedJob>(heard[0]).attempt, 3u);
  EXPECT_EQ(std::get<LeasedJob>(heard[0]).payload, "payload");

  inbox_.push(PartialItem{id, 3, "part"});
  inbox_.push(result(id, 3));
  const auto part = next_result<Partial>();
  ASSERT_TRUE(part);
  EXPECT_EQ(part->worker, "ann");
  ASSERT_THAT(part->items, SizeIs(1));
  EXPECT_EQ(part->items[0].payload, "part");
  const auto finished = next_result<ResultMessage>();
  ASSERT_TRUE(finished);
  EXPECT_THAT(finished->items, ElementsAre(result(id, 3)));
  stop();  // all of this may have happened in the turn that ends with the call
  EXPECT_EQ(n_welcomes_, 1);
}

TEST_F(SessionTest, NamesHeldLeasesInItsHeartbeats) {
  start_broker();
  start();
  welcome();
  const JobId id = make_job_id();
  say(lend(id));
  at_frontend(1);
  // One that was under way may not name it yet.
  std::optional<Heartbeat> heartbeat = next<Heartbeat>();
  while (heartbeat && heartbeat->held.empty()) heartbeat = next<Heartbeat>();
  ASSERT_TRUE(heartbeat);
  EXPECT_THAT(heartbeat->held, ElementsAre(HeldLease{id, 1}));

  inbox_.push(result(id));
  ASSERT_TRUE(next_result<ResultMessage>());
  while (heartbeat && !heartbeat->held.empty()) heartbeat = next<Heartbeat>();
  EXPECT_TRUE(heartbeat) << "after the result the lease is not named any more";
}

TEST_F(SessionTest, SaysHelloAgainToABrokerThatDoesNotKnowIt) {
  start_broker();
  start();
  welcome();
  const JobId id = make_job_id();
  say(lend(id));
  at_frontend(1);
  say(WhoAreYou{});
  const auto hello = next<Hello>();
  ASSERT_TRUE(hello);
  EXPECT_THAT(hello->held, ElementsAre(HeldLease{id, 1}));
}

TEST_F(SessionTest, PassesACancelOnAndDropsWhatWasFinishedMeanwhile) {
  start_broker();
  start();
  welcome();
  const JobId gone = make_job_id(), kept = make_job_id();
  say(lend(gone));
  say(lend(kept));
  say(Cancel{0, {gone}});
  const auto heard = at_frontend(3);
  ASSERT_THAT(heard, SizeIs(3));
  EXPECT_EQ(std::get<CancelledJob>(heard[2]).id, gone);
  inbox_.push(result(gone));
  inbox_.push(result(kept));
  const auto finished = next_result<ResultMessage>();
  ASSERT_TRUE(finished);
  EXPECT_THAT(finished->items, ElementsAre(result(kept)));
}

// Finished, but nobody takes it: it stays, and its lease is named until somebody does.
TEST_F(SessionTest, KeepsAResultUntilTheBrokerTakesIt) {
  open_work();
  start();
  welcome();
  const JobId id = make_job_id();
  say(lend(id));
  at_frontend(1);
  inbox_.push(result(id));
  for (int i = 0; i < 3; ++i) {
    std::optional<Heartbeat> heartbeat = next<Heartbeat>();
    while (heartbeat && heartbeat->held.empty()) heartbeat = next<Heartbeat>();
    ASSERT_TRUE(heartbeat);
  }
  open_results();
  const auto finished = next_result<ResultMessage>();
  ASSERT_TRUE(finished);
  EXPECT_THAT(finished->items, ElementsAre(result(id)));
}

TEST_F(SessionTest, TellsARestartedBrokerWhatItHoldsAndBringsItTheResult) {
  start_broker();
  start();
  welcome();
  const JobId id = make_job_id();
  say(lend(id));
  at_frontend(1);
  kill_broker();
  start_broker();
  const auto hello = next<Hello>();
  ASSERT_TRUE(hello);
  EXPECT_THAT(hello->held, ElementsAre(HeldLease{id, 1}));
  say(Welcome{60'000, 20});
  inbox_.push(result(id));
  const auto finished = next_result<ResultMessage>();
  ASSERT_TRUE(finished);
  EXPECT_THAT(finished->items, ElementsAre(result(id)));
}

TEST_F(SessionTest, PassesARecallOnAndSaysWhatWasGivenBack) {
  start_broker();
  start();
  welcome();
  const JobId given = make_job_id(), kept = make_job_id();
  say(lend(given, 2));
  say(lend(kept));
  say(Recall{{given, kept, make_job_id()}});
  const auto heard = at_frontend(4);
  ASSERT_THAT(heard, SizeIs(4));
  EXPECT_EQ(std::get<RecalledJob>(heard[2]).id, given);
  EXPECT_EQ(std::get<RecalledJob>(heard[3]).id, kept);
  inbox_.push(ReturnedJob{given, 2});
  const auto returned = next<Returned>();
  ASSERT_TRUE(returned);
  EXPECT_THAT(returned->held, ElementsAre(HeldLease{given, 2}));

  // Somebody else's by now; a frontend that answers it all the same is not heard.
  inbox_.push(result(given, 2));
  inbox_.push(result(kept));
  const auto finished = next_result<ResultMessage>();
  ASSERT_TRUE(finished);
  EXPECT_THAT(finished->items, ElementsAre(result(kept)));
}

// It finished while the broker asked for it: the frontend says nothing to the recall, and the result counts.
TEST_F(SessionTest, BringsTheResultOfAJobThatIsRecalledInTheSameMoment) {
  start_broker();
  start();
  welcome();
  const JobId id = make_job_id();
  say(lend(id));
  at_frontend(1);
  inbox_.push(result(id));
  say(Recall{{id}});
  const auto finished = next_result<ResultMessage>();
  ASSERT_TRUE(finished);
  EXPECT_THAT(finished->items, ElementsAre(result(id)));
  say(Recall{{id}});

  // It goes on: the next job comes after what may have been said of the recalls.
  say(lend(make_job_id()));
  bool goes_on = false;
  while (!goes_on) {
    const std::vector<ToFrontend> heard = frontend_.wait_for(kPatience);
    ASSERT_FALSE(heard.empty());
    goes_on = std::holds_alternative<LeasedJob>(heard.back());
  }
}

TEST_F(SessionTest, TellsTheFrontendWhenTheTimeOfAJobIsOver) {
  start_broker();
  start();
  welcome();
  const JobId id = make_job_id();
  say(Job{60'000, {{id, 1, "payload", Urgency::kInteractive, 30}}});
  const auto heard = at_frontend(2);
  ASSERT_THAT(heard, SizeIs(2));
  const auto& leased = std::get<LeasedJob>(heard[0]);
  EXPECT_EQ(leased.urgency, Urgency::kInteractive);
  EXPECT_EQ(leased.expires, leased.arrived + 30ms);
  EXPECT_EQ(std::get<OverdueJob>(heard[1]).id, id);
}

// A broker that was cut off by a dead network looks like one without work: nothing comes from it. It is
// asked.
TEST_F(SessionTest, SaysHelloToABrokerThatIsSilent) {
  start_broker();
  start();
  ASSERT_TRUE(next<Hello>());
  say(Welcome{.lease_ms = 30, .heartbeat_ms = 10});
  const JobId id = make_job_id();
  say(lend(id));
  at_frontend(1);
  const auto hello = next<Hello>();
  ASSERT_TRUE(hello);
  EXPECT_THAT(hello->held, ElementsAre(HeldLease{id, 1}));
  say(Welcome{60'000, 20});
  EXPECT_TRUE(next<Heartbeat>()) << "and goes on when it answers";
}

TEST_F(SessionTest, EndsWithAnErrorWhenTheBrokerSpeaksAnotherVersion) {
  start_broker();
  start();
  ASSERT_TRUE(next<Hello>());
  say(Refused{0, {ErrorCode::kUnsupported, "expected protocol version 3, found 2"}});
  thread_.join();
  ASSERT_FALSE(ended_);
  EXPECT_EQ(ended_.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(ended_.error().text, HasSubstr(endpoint("work")));
  EXPECT_THAT(ended_.error().text, HasSubstr("protocol version 2, which this worker speaks"));
  EXPECT_THAT(ended_.error().text, HasSubstr("expected protocol version 3, found 2"));
}

TEST_F(SessionTest, WaitsForABrokerThatStartsLater) {
  start();
  start_broker();
  welcome();
  const JobId id = make_job_id();
  say(lend(id));
  EXPECT_THAT(at_frontend(1), SizeIs(1));
}

TEST_F(SessionTest, FinishesWhatItHoldsBeforeItStops) {
  start_broker();
  start(kPatience);
  welcome();
  const JobId id = make_job_id();
  say(lend(id));
  at_frontend(1);
  ask_to_stop();
  const auto ready = next<Ready>();
  ASSERT_TRUE(ready);
  EXPECT_EQ(ready->credit_max, 0u) << "no more, please";
  inbox_.push(result(id));
  const auto finished = next_result<ResultMessage>();
  ASSERT_TRUE(finished);
  EXPECT_TRUE(next<Goodbye>());
  thread_.join();
  EXPECT_EQ(ended_, 0u);
}

// What is not begun would only wait here: others may do it at once.
TEST_F(SessionTest, GivesBackWhatIsNotBegunWhenItStops) {
  start_broker();
  start(kPatience);
  welcome();
  const JobId begun = make_job_id(), waiting = make_job_id(), late = make_job_id();
  say(lend(begun));
  say(lend(waiting));
  at_frontend(2);
  ask_to_stop();
  const auto ready = next<Ready>();
  ASSERT_TRUE(ready);
  EXPECT_EQ(*ready, (Ready{0, 4096, 0}));
  const auto heard = at_frontend(2);
  for (const ToFrontend& one : heard) EXPECT_TRUE(std::holds_alternative<RecalledJob>(one));

  inbox_.push(ReturnedJob{waiting, 1});
  auto returned = next<Returned>();
  ASSERT_TRUE(returned);
  EXPECT_THAT(returned->held, ElementsAre(HeldLease{waiting, 1}));
  say(lend(late, 5));  // was under way
  returned = next<Returned>();
  ASSERT_TRUE(returned);
  EXPECT_THAT(returned->held, ElementsAre(HeldLease{late, 5}));

  inbox_.push(result(begun));
  ASSERT_TRUE(next_result<ResultMessage>());
  EXPECT_TRUE(next<Goodbye>());
  thread_.join();
  EXPECT_EQ(ended_, 0u);
}

TEST_F(SessionTest, TellsWhatCameAndWhatBecameOfIt) {
  const auto figures = [this] { return *desk_.look(0s, kPatience).figures; };
  start_broker();
  start(kPatience);
  welcome();
  const JobId done = make_job_id(), failed = make_job_id(), expired = make_job_id(),
              cancelled = make_job_id(), returned = make_job_id(), held = make_job_id();
  for (const JobId& id : {done, failed, expired, cancelled, returned, held}) say(lend(id));
  say(Cancel{0, {cancelled}});
  at_frontend(7);
  EXPECT_EQ(figures().n_held, 5u);
  EXPECT_TRUE(figures().is_welcome);

  inbox_.push(result(done));
  inbox_.push(ResultItem{failed, 1, {ErrorCode::kInvalid, "no such task"}, false, {}});
  inbox_.push(ResultItem{expired, 1, {ErrorCode::kExpired, "too late"}, false, {}});
  inbox_.push(result(cancelled));  // finished a moment too late
  inbox_.push(ReturnedJob{returned, 1});
  ASSERT_TRUE(next<Returned>());
  SessionFigures now = figures();
  while (now.n_held > 1) now = figures();  // results go out when the socket takes them
  EXPECT_EQ(now.leased, 6u);
  EXPECT_EQ(now.done, 1u);
  EXPECT_EQ(now.failed, 1u);
  EXPECT_EQ(now.expired, 1u);
  EXPECT_EQ(now.cancelled, 1u);
  EXPECT_EQ(now.returned, 1u);
  EXPECT_EQ(now.n_held, 1u);
  EXPECT_EQ(now.credit_max, 8u);

  ask_to_stop();
  while (figures().credit_max != 0) {
  }
  inbox_.push(result(held));
  thread_.join();
  EXPECT_EQ(ended_, 0u);
}

TEST_F(SessionTest, LeavesWithUnfinishedJobsWhenItsTimeToDrainIsOver) {
  start_broker();
  start();
  welcome();
  say(lend(make_job_id()));
  at_frontend(1);
  stop();
  EXPECT_TRUE(next<Goodbye>()) << "the broker lends them to others at once";
  EXPECT_EQ(ended_, 1u);
}

TEST_F(SessionTest, StopsWithoutABroker) {
  start();
  stop();
  EXPECT_EQ(ended_, 0u);
  EXPECT_EQ(n_welcomes_, 0);
}

TEST_F(SessionTest, DoesNotStartWithAnAddressThatIsNone) {
  SessionOptions options;
  options.work_endpoint = "somewhere";
  options.results_endpoint = endpoint("results");
  const auto session = Session::open(net_, std::move(options), clock_, inbox_, wake_, frontend_);
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code, ErrorCode::kInvalid);
}

}  // namespace
}  // namespace tandem
