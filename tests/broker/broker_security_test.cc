// tandem-broker with keys, over tcp: what each key may do, and what happens when the allow file changes under
// way.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "shared/net/allowlist.h"
#include "shared/net/keys.h"
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
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr Duration kPatience = 30s;
constexpr int kRoundsMax = 3000;  // of 10 ms

class BrokerSecurityTest : public ::testing::Test {
 protected:
  BrokerSecurityTest() {
    EXPECT_TRUE(save_key_pair(folder_ / "broker.key", broker_keys_));
    allow({{Role::kClient, ann_}, {Role::kClient, bob_}, {Role::kWorker, host_}, {Role::kAdmin, ops_}});
  }

  template <typename T>
  static T must(Result<T> result) {
    EXPECT_TRUE(result) << result.error().text;
    return std::move(*result);
  }
  void allow(const std::vector<std::pair<Role, KeyPair>>& keys, const std::string& more = "") {
    std::string text = "# who may\n";
    for (const auto& [role, pair] : keys) text += allow_line({role, pair.name}, pair.public_key) + "\n";
    const std::string path = folder_ / "allow";
    std::ofstream(path + ".new") << text << more;
    std::filesystem::rename(path + ".new", path);
  }

  std::vector<std::string> arguments(const std::string& address) {
    std::vector<std::string> argv = {"tandem-broker",
                                     "--set=journal.folder=" + (folder_ / "journal").string(),
                                     "--set=journal.bytes_max=64MiB",
                                     "--set=security.secret_key_file=" + (folder_ / "broker.key").string(),
                                     "--set=security.allow_file=" + (folder_ / "allow").string()};
    for (const std::string name : {"submit", "work", "results_in", "results_out"}) {
      argv.push_back("--set=broker." + name + "=" + address);
    }
    return argv;
  }
  void start_broker() {
    broker_.emplace(arguments("tcp://127.0.0.1:0"));
    ASSERT_TRUE(broker_->wait_for_output("\n")) << broker_->err();
  }
  // Of the ready line: "ready submit=tcp://127.0.0.1:33333 work=...".
  std::string endpoint(const std::string& name) {
    const std::string line = broker_->out();
    const size_t at = line.find(" " + name + "=") + name.size() + 2;
    return line.substr(at, line.find_first_of(" \n", at) - at);
  }

  SocketOptions with(const KeyPair& own) const {
    SocketOptions options;
    options.client_keys = ClientKeys{own, broker_keys_.public_key};
    options.connected_only = true;
    options.linger = 0ms;
    return options;
  }
  template <typename S>
  S connect(const std::string& name, const KeyPair& own) {
    auto socket = must(S::connect(net_, endpoint(name), with(own)));
    EXPECT_TRUE(wait({Waitable::room(socket)}, kPatience));
    return socket;
  }
  DealerSocket client(const KeyPair& own) { return connect<DealerSocket>("submit", own); }

  template <typename M>
  M next(DealerSocket& socket) {
    for (int i = 0; i < kRoundsMax; ++i) {
      while (auto received = socket.receive()) {
        if (*received && std::holds_alternative<M>(**received)) return std::get<M>(std::move(**received));
      }
      wait({socket}, 10ms);
    }
    ADD_FAILURE() << "no answer";
    return {};
  }
  // What is said in the end to a socket whose key is refused.
  static std::string refusal(DealerSocket& socket) {
    for (int i = 0; i < kRoundsMax; ++i) {
      if (const auto problem = socket.handshake_problem()) return problem->text;
      wait({socket}, 10ms);
    }
    return "nothing";
  }
  static Submit submission(const std::string& client_name, const std::string& job) {
    return {1, client_name, {{job_id_from_key(job), 0, 1, 0, "payload"}}};
  }
  bool eventually_logs(const std::string& text) {
    for (int i = 0; i < kRoundsMax && broker_->err().find(text) == std::string::npos; ++i) {
      std::this_thread::sleep_for(10ms);
    }
    return broker_->err().find(text) != std::string::npos;
  }

  const TempDir folder_;
  const KeyPair broker_keys_ = must(make_key_pair("broker")), ann_ = must(make_key_pair("ann")),
                bob_ = must(make_key_pair("bob")), host_ = must(make_key_pair("host7")),
                ops_ = must(make_key_pair("ops")), eve_ = must(make_key_pair("ann"));
  NetContext net_;
  std::optional<Process> broker_;
};

TEST_F(BrokerSecurityTest, AJobGoesItsWayBetweenThoseWhoAreAllowed) {
  start_broker();
  auto ann = client(ann_);
  auto topic = must(SubscriberSocket::connect(net_, endpoint("results_out"), with(ann_)));
  auto theirs = must(SubscriberSocket::connect(net_, endpoint("results_out"), with(bob_)));
  ASSERT_TRUE(topic.subscribe("ann/"));
  ASSERT_TRUE(theirs.subscribe("ann/") && theirs.subscribe(""));
  auto work = connect<DealerSocket>("work", host_);
  auto results = connect<PushSocket>("results_in", host_);
  ASSERT_TRUE(work.send(Hello{"host7-1", "host", "model", 100, {}, {}}));
  next<Welcome>(work);

  // A subscription takes effect some time after the connection stands, so work until it did.
  std::optional<SubscriberSocket::Published> heard;
  for (int i = 0; i < 500 && !heard; ++i) {
    ASSERT_TRUE(ann.send(submission("ann", "job " + std::to_string(i))));
    EXPECT_EQ(next<Accepted>(ann).items.at(0).state, JobState::kReady);
    const Job job = next<Job>(work);
    ASSERT_EQ(job.items.size(), 1u);
    ASSERT_TRUE(results.send(ResultMessage{"host7-1", {{job.items[0].id, 1, {}, false, "answer"}}}));
    wait({topic}, 10ms);
    heard = topic.receive();
    EXPECT_FALSE(theirs.receive()) << "somebody else's topic";
  }
  ASSERT_TRUE(heard && heard->message);
  EXPECT_EQ(heard->topic, "ann/");
}

TEST_F(BrokerSecurityTest, AKeyThatIsNotInTheListIsNotLetIn) {
  start_broker();
  auto eve = must(DealerSocket::connect(net_, endpoint("submit"), with(eve_)));
  EXPECT_THAT(refusal(eve), HasSubstr("does not let in the key " + eve_.public_key));
  EXPECT_TRUE(
      eventually_logs("connection refused, key not in the allow file key=" + eve_.public_key.substr(0, 8)));
}

TEST_F(BrokerSecurityTest, AClientCannotGoByAnotherName) {
  start_broker();
  auto ann = client(ann_);
  ASSERT_TRUE(ann.send(submission("bob", "job")));
  const auto refused = next<Refused>(ann);
  EXPECT_EQ(refused.request, 1u);
  EXPECT_THAT(refused.error.text, AllOf(HasSubstr("expected 'ann'"), HasSubstr("found 'bob'")));
  ASSERT_TRUE(ann.send(Fetch{2, {job_id_from_key("job")}}));
  EXPECT_EQ(next<Fetched>(ann).items.at(0).state, JobState::kUnknown) << "it was not accepted";
}

TEST_F(BrokerSecurityTest, NobodySpeaksAtADoorThatIsNotTheirs) {
  start_broker();
  auto worker = client(host_);
  ASSERT_TRUE(worker.send(submission("host7", "job")));
  EXPECT_THAT(next<Refused>(worker).error.text, HasSubstr("'host7' with the role worker"));
  auto ann = connect<DealerSocket>("work", ann_);
  ASSERT_TRUE(ann.send(Hello{"ann", "host", "model", 1, {}, {}}));
  EXPECT_THAT(next<Refused>(ann).error.text, HasSubstr("'ann' with the role client"));
  auto other = connect<DealerSocket>("work", host_);
  ASSERT_TRUE(other.send(Hello{"host8", "host", "model", 1, {}, {}}));
  EXPECT_THAT(next<Refused>(other).error.text, HasSubstr("found 'host8'"));
}

// One way: who forges there hears nothing, and the job waits for its worker.
TEST_F(BrokerSecurityTest, AResultFromSomebodyElseIsNoResult) {
  start_broker();
  auto ann = client(ann_);
  auto work = connect<DealerSocket>("work", host_);
  ASSERT_TRUE(work.send(Hello{"host7", "host", "model", 1, {}, {}}));
  next<Welcome>(work);
  ASSERT_TRUE(ann.send(submission("ann", "job")));
  const Job job = next<Job>(work);
  const ResultItem forged{job.items.at(0).id, 1, {}, false, "forged"},
      good{job.items.at(0).id, 1, {}, false, "good"};
  auto from_bob = connect<PushSocket>("results_in", bob_);
  ASSERT_TRUE(from_bob.send(ResultMessage{"host7", {forged}}));
  auto from_host = connect<PushSocket>("results_in", host_);
  ASSERT_TRUE(from_host.send(ResultMessage{"elsewhere", {forged}}));
  ASSERT_TRUE(from_host.send(ResultMessage{"host7", {good}}));
  FetchedItem fetched;
  for (int i = 0; i < kRoundsMax && fetched.state != JobState::kDone; ++i) {
    ASSERT_TRUE(ann.send(Fetch{2, {job.items[0].id}}));
    fetched = next<Fetched>(ann).items.at(0);
  }
  EXPECT_EQ(fetched.payload, "good");
}

TEST_F(BrokerSecurityTest, AKeyThatIsTakenFromTheListIsOutAtOnce) {
  start_broker();
  auto ann = client(ann_);
  auto bob = client(bob_);
  ASSERT_TRUE(ann.send(submission("ann", "before")) && bob.send(submission("bob", "other")));
  next<Accepted>(ann);
  next<Accepted>(bob);
  allow({{Role::kClient, bob_}});
  EXPECT_THAT(refusal(ann), HasSubstr("does not let in the key " + ann_.public_key));
  ASSERT_TRUE(bob.send(submission("bob", "after"))) << "the others stay connected";
  next<Accepted>(bob);

  allow({{Role::kClient, bob_}, {Role::kClient, ann_}});
  ASSERT_TRUE(eventually_logs("keys=2"));
  auto back = client(ann_);
  ASSERT_TRUE(back.send(submission("ann", "again")));
  EXPECT_EQ(next<Accepted>(back).items.at(0).state, JobState::kReady);
}

TEST_F(BrokerSecurityTest, ABrokenEditChangesNothing) {
  start_broker();
  auto ann = client(ann_);
  allow({{Role::kClient, bob_}}, "client " + ann_.secret_key.reveal() + "x ann\n");
  ASSERT_TRUE(eventually_logs("the list stays as it was"));
  ASSERT_TRUE(ann.send(submission("ann", "still")));
  EXPECT_EQ(next<Accepted>(ann).items.at(0).state, JobState::kReady);
  EXPECT_THAT(broker_->err(), Not(HasSubstr(ann_.secret_key.reveal())));
}

TEST_F(BrokerSecurityTest, NoSecretIsPrinted) {
  auto argv = arguments("tcp://127.0.0.1:0");
  argv.push_back("--set=broker.log_level=debug");
  broker_.emplace(argv);
  ASSERT_TRUE(broker_->wait_for_output("\n")) << broker_->err();
  auto ann = client(ann_);
  ASSERT_TRUE(ann.send(submission("ann", "job")));
  next<Accepted>(ann);
  broker_->kill(SIGTERM);
  EXPECT_EQ(broker_->wait(), 0);
  argv.push_back("--print-config");
  const auto printed = run_process(argv);
  EXPECT_THAT(printed.out, HasSubstr("secret_key_file"));
  const std::string secret = broker_keys_.secret_key.reveal();
  for (const std::string& text : {broker_->err(), broker_->out(), printed.out, printed.err}) {
    EXPECT_THAT(text, Not(HasSubstr(secret)));
  }
}

TEST_F(BrokerSecurityTest, ItStartsBeyondThisMachineWithKeysOnly) {
  broker_.emplace(arguments("tcp://0.0.0.0:0"));
  ASSERT_TRUE(broker_->wait_for_output("\n")) << broker_->err();
  EXPECT_THAT(broker_->out(), HasSubstr("ready submit=tcp://0.0.0.0:"));
  broker_.reset();

  const auto without = run_process({"tandem-broker", "--set=journal.folder=" + (folder_ / "journal").string(),
                                    "--set=broker.submit=tcp://0.0.0.0:0"});
  EXPECT_EQ(without.status, 1);
  EXPECT_THAT(without.err, HasSubstr("without keys only ipc:// and loopback may be bound"));
}

TEST_F(BrokerSecurityTest, ItDoesNotStartWithKeysThatAreWrong) {
  const auto error = [&](const std::vector<std::string>& more) {
    auto argv = arguments("tcp://127.0.0.1:0");
    argv.insert(argv.end(), more.begin(), more.end());
    const auto run = run_process(argv);
    EXPECT_NE(run.status, 0);
    return run.err;
  };
  EXPECT_THAT(error({"--set=security.allow_file="}), HasSubstr("security.allow_file"));
  EXPECT_THAT(error({"--set=security.secret_key_file=" + (folder_ / "none").string()}),
              HasSubstr("security.secret_key_file: " + (folder_ / "none").string()));
  allow({{Role::kClient, ann_}}, "client ann\n");
  EXPECT_THAT(error({}), HasSubstr("security.allow_file: " + (folder_ / "allow").string() + ": line 3"));
  allow({{Role::kClient, ann_}});
  std::filesystem::permissions(folder_ / "broker.key", std::filesystem::perms::group_read,
                               std::filesystem::perm_options::add);
  EXPECT_THAT(error({}), HasSubstr("found mode 0640"));
}

}  // namespace
}  // namespace tandem::broker
