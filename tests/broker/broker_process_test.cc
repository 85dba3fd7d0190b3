// tandem-broker as a process, spoken to through its sockets: what a client and a worker see of it, also when
// it is killed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "shared/net/sockets.h"
#include "shared/net/wait.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace tandem::broker {
namespace {

using namespace std::chrono_literals;
using tandem::testing::Process;
using tandem::testing::run_process;
using tandem::testing::TempDir;
using ::testing::HasSubstr;

// Long enough for any machine; nothing waits for it unless something is broken.
constexpr Duration kPatience = 30s;

class BrokerProcessTest : public ::testing::Test {
 protected:
  std::vector<std::string> arguments(const std::string& journal = "journal",
                                     const std::string& sockets = "") {
    std::vector<std::string> argv = {"tandem-broker",
                                     "--set=journal.folder=" + (folder_ / journal).string(),
                                     "--set=journal.bytes_max=64MiB",
                                     "--set=broker.lease_ms=600",
                                     "--set=broker.heartbeat_ms=100",
                                     "--set=broker.restart_grace_ms=0"};
    for (const std::string name : {"submit", "work", "results_in", "results_out"}) {
      argv.push_back("--set=broker." + name + "=" + endpoint(sockets + name));
    }
    return argv;
  }
  std::string endpoint(const std::string& name) { return "ipc://" + (folder_ / name).string(); }

  void start_broker() {
    broker_.emplace(arguments());
    ASSERT_TRUE(broker_->wait_for_output("ready submit=")) << broker_->err();
  }
  void kill_broker() {
    broker_->kill(SIGKILL);
    EXPECT_EQ(broker_->wait(), 128 + SIGKILL);
  }

  template <typename T>
  T must(Result<T> result) {
    EXPECT_TRUE(result) << result.error().text;
    return std::move(*result);
  }
  DealerSocket client() { return must(DealerSocket::connect(net_, endpoint("submit"))); }
  DealerSocket worker() { return must(DealerSocket::connect(net_, endpoint("work"))); }
  PushSocket results() { return must(PushSocket::connect(net_, endpoint("results_in"))); }

  // The next message of kind M; others are passed over.
  template <typename M, typename Socket>
  M next(Socket& socket) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < until) {
      wait({socket}, 1s);
      while (auto received = socket.receive()) {
        Result<Message>& message = message_of(*received);
        if (message && std::holds_alternative<M>(*message)) return std::get<M>(std::move(*message));
      }
    }
    ADD_FAILURE() << "no answer";
    return {};
  }
  static Result<Message>& message_of(Result<Message>& message) { return message; }
  static Result<Message>& message_of(SubscriberSocket::Published& published) { return published.message; }

  AcceptedItem submit(DealerSocket& socket, const std::string& name, const std::string& payload) {
    EXPECT_TRUE(socket.send(Submit{1, "carl", {{job_id_from_key(name), 0, 1, 0, payload}}}));
    const auto accepted = next<Accepted>(socket);
    return accepted.items.empty() ? AcceptedItem{} : accepted.items[0];
  }
  FetchedItem fetch(DealerSocket& socket, const std::string& name) {
    EXPECT_TRUE(socket.send(Fetch{2, {job_id_from_key(name)}}));
    const auto fetched = next<Fetched>(socket);
    return fetched.items.empty() ? FetchedItem{} : fetched.items[0];
  }
  void hello(DealerSocket& socket, const std::string& name, uint32_t credit,
             std::vector<HeldLease> held = {}) {
    EXPECT_TRUE(socket.send(Hello{name, "host", "model", credit, {}, std::move(held)}));
    EXPECT_EQ(next<Welcome>(socket).lease_ms, 600u);
  }
  void finish(PushSocket& socket, const std::string& worker_name, const JobItem& job,
              const std::string& payload) {
    EXPECT_TRUE(socket.send(ResultMessage{worker_name, {{job.id, job.attempt, {}, false, payload}}}));
  }

  const TempDir folder_;
  NetContext net_;
  std::optional<Process> broker_;
};

TEST_F(BrokerProcessTest, AJobGoesFromAClientToAWorkerAndItsResultBack) {
  start_broker();
  auto carl = client();
  auto topic = must(SubscriberSocket::connect(net_, endpoint("results_out")));
  ASSERT_TRUE(topic.subscribe("carl/"));
  auto ann = worker();
  auto ann_results = results();
  hello(ann, "ann", 2);

  EXPECT_EQ(submit(carl, "greeting", "what to say").state, JobState::kReady);
  const Job job = next<Job>(ann);
  ASSERT_EQ(job.items.size(), 1u);
  EXPECT_EQ(job.items[0].payload, "what to say");
  EXPECT_EQ(job.items[0].attempt, 1u);
  EXPECT_EQ(job.lease_ms, 600u);
  finish(ann_results, "ann", job.items[0], "hello");

  const auto published = next<ResultMessage>(topic);
  ASSERT_EQ(published.items.size(), 1u);
  EXPECT_EQ(published.worker, "ann");
  EXPECT_EQ(published.items[0].payload, "hello");
  EXPECT_EQ(fetch(carl, "greeting").payload, "hello");
  EXPECT_EQ(submit(carl, "greeting", "what to say").state, JobState::kDone);

  ASSERT_TRUE(carl.send(Status{3}));
  EXPECT_EQ(next<StatusReply>(carl).finished_total, 1u);
}

// More than is read from the disk in one turn: nobody's answer is left out for it.
TEST_F(BrokerProcessTest, EverybodyGetsTheLargeResultThatAllAskForAtOnce) {
  start_broker();
  auto ann = worker();
  auto ann_results = results();
  hello(ann, "ann", 1);
  std::vector<DealerSocket> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(client());
  const std::string novel(8u << 20, 'x');
  const std::vector<JobId> novels = {job_id_from_key("one"), job_id_from_key("two")};
  for (const std::string name : {"one", "two"}) {
    submit(clients[0], name, "write a novel, " + name);
    finish(ann_results, "ann", next<Job>(ann).items.at(0), novel);
    while (fetch(clients[0], name).state != JobState::kDone) {
    }
  }

  broker_->kill(SIGSTOP);
  for (DealerSocket& one : clients) ASSERT_TRUE(one.send(Fetch{7, novels}));
  broker_->kill(SIGCONT);
  for (DealerSocket& one : clients) {
    const auto fetched = next<Fetched>(one);
    ASSERT_EQ(fetched.items.size(), 2u);
    EXPECT_TRUE(fetched.items[0].payload == novel && fetched.items[1].payload == novel);
  }
  ASSERT_TRUE(clients[3].send(Inspect{8, novels[1]}));
  EXPECT_TRUE(next<Inspected>(clients[3]).answered == novel);
}

TEST_F(BrokerProcessTest, AfterKillNineReadyJobsComeAgainAndResultsAreStillThere) {
  start_broker();
  auto carl = client();
  auto ann = worker();
  auto ann_results = results();
  hello(ann, "ann", 1);
  submit(carl, "first", "text one");
  finish(ann_results, "ann", next<Job>(ann).items.at(0), "result one");
  submit(carl, "second", "text two");
  EXPECT_EQ(next<Job>(ann).items.at(0).payload, "text two");
  submit(carl, "third", "text three");

  kill_broker();
  start_broker();
  EXPECT_EQ(fetch(carl, "first").payload, "result one");
  EXPECT_EQ(fetch(carl, "third").state, JobState::kReady);

  // The worker that holds "second" is asked who it is, and keeps it; another one gets the rest.
  ASSERT_TRUE(ann.send(Heartbeat{{{job_id_from_key("second"), 1}}}));
  next<WhoAreYou>(ann);
  hello(ann, "ann", 1, {{job_id_from_key("second"), 1}});
  auto bob = worker();
  hello(bob, "bob", 5);
  const Job job = next<Job>(bob);
  ASSERT_EQ(job.items.size(), 1u);
  EXPECT_EQ(job.items[0].payload, "text three");
}

TEST_F(BrokerProcessTest, AWorkerThatDiesLosesItsJobToAnother) {
  start_broker();
  auto carl = client();
  submit(carl, "greeting", "text");
  {
    auto ann = worker();
    hello(ann, "ann", 1);
    EXPECT_EQ(next<Job>(ann).items.at(0).attempt, 1u);
  }
  auto bob = worker();
  hello(bob, "bob", 1);
  // A worker that holds nothing beats, too.
  std::optional<Job> job;
  for (int i = 0; i < 300 && !job; ++i) {
    ASSERT_TRUE(bob.send(Heartbeat{}));
    wait({bob}, 100ms);
    if (auto received = bob.receive(); received && *received && std::holds_alternative<Job>(**received)) {
      job = std::get<Job>(std::move(**received));
    }
  }
  ASSERT_TRUE(job);
  EXPECT_EQ(job->items.at(0).attempt, 2u);
}

TEST_F(BrokerProcessTest, ItStopsOnSigtermAndComesBackWithEverything) {
  start_broker();
  auto carl = client();
  submit(carl, "greeting", "text");
  broker_->kill(SIGTERM);
  EXPECT_EQ(broker_->wait(), 0);
  start_broker();
  EXPECT_EQ(fetch(carl, "greeting").state, JobState::kReady);
}

TEST_F(BrokerProcessTest, ASecondBrokerOnTheSameJournalIsRefusedAndDisturbsNothing) {
  start_broker();
  auto carl = client();
  submit(carl, "greeting", "text");
  const auto second = run_process(arguments("journal", "other-"));
  EXPECT_EQ(second.status, 1);
  EXPECT_THAT(second.err, HasSubstr("journal: " + (folder_ / "journal").string()));
  EXPECT_THAT(second.err, HasSubstr("another process has"));
  EXPECT_EQ(fetch(carl, "greeting").state, JobState::kReady);
}

TEST_F(BrokerProcessTest, ASocketThatIsInUseIsRefusedWithItsNameAndDisturbsNothing) {
  start_broker();
  auto carl = client();
  submit(carl, "greeting", "text");
  const auto second = run_process(arguments("other-journal"));
  EXPECT_EQ(second.status, 1);
  EXPECT_THAT(second.err, HasSubstr("submit socket"));
  EXPECT_THAT(second.err, HasSubstr((folder_ / "submit").string()));
  EXPECT_EQ(fetch(carl, "greeting").state, JobState::kReady);
}

TEST_F(BrokerProcessTest, APortThatIsInUseIsRefused) {
  NetContext net;
  auto taken = must(RouterSocket::bind(net, "tcp://127.0.0.1:0"));
  auto argv = arguments();
  argv.push_back("--set=broker.submit=" + taken.endpoint());
  const auto run = run_process(argv);
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr("submit socket"));
  EXPECT_THAT(run.err, HasSubstr(taken.endpoint()));
}

TEST_F(BrokerProcessTest, AnAddressThatEveryMachineCouldReachIsRefused) {
  auto argv = arguments();
  argv.push_back("--set=broker.work=tcp://0.0.0.0:5556");
  const auto run = run_process(argv);
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.err, HasSubstr("work socket"));
}

TEST_F(BrokerProcessTest, AFullJournalRefusesJobsAndStillTakesResults) {
  auto argv = arguments();
  argv.push_back("--set=journal.bytes_max=1MiB");
  broker_.emplace(argv);
  ASSERT_TRUE(broker_->wait_for_output("ready submit=")) << broker_->err();
  auto carl = client();
  int n_accepted = 0;
  AcceptedItem last;
  while (n_accepted < 100) {
    last = submit(carl, "job " + std::to_string(n_accepted),
                  std::to_string(n_accepted) + std::string(50'000, 'x'));
    if (!last.error.text.empty()) break;
    ++n_accepted;
  }
  EXPECT_EQ(last.error.code, ErrorCode::kFull);
  EXPECT_GT(n_accepted, 5);

  auto ann = worker();
  auto ann_results = results();
  hello(ann, "ann", 1);
  finish(ann_results, "ann", next<Job>(ann).items.at(0), "hello");
  next<Job>(ann);  // the next job: the result of the first is in
  EXPECT_EQ(fetch(carl, "job 0").payload, "hello");
}

// Results that are much larger than their jobs: the broker stops lending and goes on with everything else.
TEST_F(BrokerProcessTest, AJournalFullOfResultsLendsNoMoreUntilTheyHaveArrived) {
  auto argv = arguments();
  argv.push_back("--set=journal.bytes_max=1MiB");
  broker_.emplace(argv);
  ASSERT_TRUE(broker_->wait_for_output("ready submit=")) << broker_->err();
  auto carl = client();
  for (int i = 0; i < 100; ++i) submit(carl, "job " + std::to_string(i), std::to_string(i));
  auto ann = worker();
  auto ann_results = results();
  hello(ann, "ann", 1);
  int n_done = 0;
  while (n_done < 100) {
    wait({ann}, 1s);
    const auto heard = ann.receive();
    if (!heard) break;
    if (!*heard || !std::holds_alternative<Job>(**heard)) continue;
    finish(ann_results, "ann", std::get<Job>(**heard).items.at(0), std::string(50'000, 'x'));
    ++n_done;
  }
  EXPECT_GT(n_done, 5);
  EXPECT_LT(n_done, 30);
  EXPECT_THAT(broker_->err(), HasSubstr("no jobs are lent"));

  // What has arrived makes room.
  Acknowledge arrived{"carl", {}};
  for (int i = 0; i < 100; ++i) arrived.ids.push_back(job_id_from_key("job " + std::to_string(i)));
  ASSERT_TRUE(carl.send(arrived));
  hello(ann, "ann", 1);
  next<Job>(ann);
}

TEST_F(BrokerProcessTest, AMessageThatIsNoneIsRefusedAndTheNextIsHeard) {
  start_broker();
  auto carl = client();
  ASSERT_TRUE(carl.send(Submit{9, "a/b", {{job_id_from_key("greeting"), 0, 1, 0, "x"}}}));
  EXPECT_THAT(next<Refused>(carl).error.text, HasSubstr("client"));
  ASSERT_TRUE(carl.send(Welcome{}));
  EXPECT_THAT(next<Refused>(carl).error.text, HasSubstr("expected a message of clients"));
  EXPECT_EQ(submit(carl, "greeting", "text").state, JobState::kReady);
}

TEST_F(BrokerProcessTest, BadSettingsAreAllReportedWithStatusTwo) {
  const auto run =
      run_process({"tandem-broker", "--check-config", "--set=broker.leas_ms=1", "--set=turn.messages_max=0"});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err, HasSubstr("leas_ms"));
  EXPECT_THAT(run.err, HasSubstr("messages_max"));
  EXPECT_EQ(run_process({"tandem-broker", "--no-such-flag"}).status, 2);
  EXPECT_EQ(run_process({"tandem-broker", "--check-config"}).status, 0);
  EXPECT_THAT(run_process({"tandem-broker", "--print-config"}).out, HasSubstr("lease_ms = 10000"));
}

}  // namespace
}  // namespace tandem::broker
