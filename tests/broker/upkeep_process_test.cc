// tandem-broker's verbs and its other outlets as whoever operates it meets them: check, dump, compact and
// backup as programs, beside a running broker and without one; metrics over HTTP; the service manager.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "broker/lmdb_journal.h"
#include "shared/net/sockets.h"
#include "shared/net/wait.h"
#include "tests/support/notify_socket.h"
#include "tests/support/process.h"
#include "tests/support/prometheus_text.h"
#include "tests/support/temp_dir.h"

namespace tandem::broker {
namespace {

using namespace std::chrono_literals;
using tandem::testing::http_get;
using tandem::testing::NotifySocket;
using tandem::testing::Process;
using tandem::testing::read_prometheus;
using tandem::testing::run_process;
using tandem::testing::RunResult;
using tandem::testing::TempDir;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class UpkeepProcessTest : public ::testing::Test {
 protected:
  std::string journal() const { return (folder_ / "journal").string(); }
  std::filesystem::path data() const { return folder_ / "journal" / "data.mdb"; }
  std::string endpoint(const std::string& name) const { return "ipc://" + (folder_ / name).string(); }

  void start_broker(const std::vector<std::string>& more = {}, const std::string& notify = "") {
    std::vector<std::string> argv = {"tandem-broker", "--set=journal.folder=" + journal(),
                                     "--set=broker.restart_grace_ms=0"};
    for (const std::string name : {"submit", "work", "results_in", "results_out"}) {
      argv.push_back("--set=broker." + name + "=" + endpoint(name));
    }
    argv.insert(argv.end(), more.begin(), more.end());
    broker_.emplace(argv, testing::ProcessOptions{
                              .input = "", .environment = {{"NOTIFY_SOCKET", notify}}, .output_dir = ""});
    ASSERT_TRUE(broker_->wait_for_output("ready submit=")) << broker_->err();
  }
  void stop_broker() {
    broker_->kill(SIGTERM);
    EXPECT_EQ(broker_->wait(), 0) << broker_->err();
    broker_.reset();
  }
  RunResult verb(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "tandem-broker");
    arguments.push_back("--set=journal.folder=" + journal());
    return run_process(arguments);
  }

  // The same with standard output on a disk without room, or with the reader of the pipe gone.
  RunResult lost_verb(const std::string& to, const std::vector<std::string>& arguments) const {
    const std::string nobody =
        "rm -f pipe; mkfifo pipe && exec 3<>pipe 4>pipe && exec 3>&- >&4 4>&- && exec \"$@\"";
    std::vector<std::string> argv = {
        "/bin/sh", "-c",
        "cd '" + folder_.path().string() + "' && " + (to.empty() ? nobody : "exec \"$@\" > " + to), "sh",
        (testing::bin_dir() / "tandem-broker").string()};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    argv.push_back("--set=journal.folder=" + journal());
    return run_process(argv);
  }

  // Submits jobs of 10 kB and waits until they are on disk.
  void submit(int from, int to) {
    auto socket = DealerSocket::connect(net_, endpoint("submit"));
    ASSERT_TRUE(socket);
    for (int i = from; i < to; ++i) {
      ASSERT_TRUE(socket->send(Submit{
          1,
          "carl",
          {{job_id_from_key(std::to_string(i)), 0, 1, 0, std::to_string(i) + std::string(10'000, 'x')}}}));
      ASSERT_TRUE(wait({*socket}, 30s));
      const auto answer = socket->receive();
      ASSERT_TRUE(answer && *answer && std::holds_alternative<Accepted>(**answer));
    }
  }
  void damage_a_payload() {
    std::fstream file(data(), std::ios::in | std::ios::out | std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    const size_t at = bytes.rfind(std::string(5'000, 'x'));
    ASSERT_NE(at, std::string::npos);
    file.seekp(static_cast<std::streamoff>(at));
    file.put('y');
  }

  const TempDir folder_;
  NetContext net_;
  std::optional<Process> broker_;
};

TEST_F(UpkeepProcessTest, AGoodJournalIsFoundGoodBesideItsBrokerAndWithout) {
  start_broker();
  submit(0, 10);
  const RunResult beside = verb({"check"});
  EXPECT_EQ(beside.status, 0) << beside.out << beside.err;
  EXPECT_THAT(beside.out, HasSubstr("accepted=10 finished=0"));
  EXPECT_THAT(beside.out, HasSubstr("unfinished=10"));
  EXPECT_THAT(beside.out, HasSubstr("format version 2\n"));
  EXPECT_THAT(beside.out, HasSubstr("\ngood\n"));
  submit(10, 12);  // the broker goes on
  stop_broker();
  EXPECT_THAT(verb({"check", journal()}).out, HasSubstr("accepted=12"));
}

TEST_F(UpkeepProcessTest, DamageIsNamedAndTheStatusIsOne) {
  start_broker();
  submit(0, 10);
  stop_broker();
  damage_a_payload();
  const RunResult run = verb({"check"});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.out, HasSubstr("damage: fact "));
  EXPECT_THAT(run.out, HasSubstr("the payload's bytes are not those that were written"));
  EXPECT_THAT(run.out, HasSubstr("\ndamaged\n"));
  // Nobody makes a copy of damage and calls it a journal.
  const auto before = std::filesystem::file_size(data());
  EXPECT_EQ(verb({"compact"}).status, 1);
  EXPECT_EQ(std::filesystem::file_size(data()), before);
  EXPECT_EQ(verb({"backup", (folder_ / "copy").string()}).status, 1);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "copy"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "copy.partial"));
}

// LMDB reads through a map of the file: reading past the end is a signal, not an error.
TEST_F(UpkeepProcessTest, AFileThatWasCutShortIsDamageAndNoCrash) {
  start_broker();
  submit(0, 30);
  stop_broker();
  std::filesystem::resize_file(data(), std::filesystem::file_size(data()) / 2);
  const RunResult run = verb({"check"});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.out, HasSubstr("damage: "));
}

// What can be copied is what can be read: LMDB ends whoever copies such a journal.
TEST_F(UpkeepProcessTest, AJournalWithDamagedPagesIsNotCompactedNorCopiedAndStaysAsItWas) {
  start_broker();
  submit(0, 30);
  stop_broker();
  const auto read_all = [&] {
    std::ifstream file(data(), std::ios::binary);
    return std::string((std::istreambuf_iterator<char>(file)), {});
  };
  const std::string whole = read_all();
  // Cut short; and with all pages but the first two, LMDB's own, overwritten.
  for (const std::string& damaged : {whole.substr(0, whole.size() / 2),
                                     whole.substr(0, 8192) + std::string(whole.size() - 8192, '\xff')}) {
    std::ofstream(data(), std::ios::binary | std::ios::trunc) << damaged;
    for (const std::vector<std::string>& arguments :
         std::vector<std::vector<std::string>>{{"compact"}, {"backup", (folder_ / "copy").string()}}) {
      const RunResult run = verb(arguments);
      EXPECT_EQ(run.status, 1) << arguments.front() << " " << run.err;
      EXPECT_THAT(run.err, HasSubstr(journal())) << arguments.front();
      EXPECT_TRUE(read_all() == damaged) << arguments.front();
      EXPECT_FALSE(std::filesystem::exists(folder_ / "journal" / "compacting"));
      EXPECT_FALSE(std::filesystem::exists(folder_ / "copy"));
      EXPECT_FALSE(std::filesystem::exists(folder_ / "copy.partial"));
    }
  }
  // Whole again, it is compacted: nothing is in the way.
  std::ofstream(data(), std::ios::binary | std::ios::trunc) << whole;
  EXPECT_EQ(verb({"compact"}).status, 0);
}

TEST_F(UpkeepProcessTest, WhereThereIsNoJournalTheStatusIsTwo) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"check"}, {"dump"}, {"compact"}, {"backup", (folder_ / "copy").string()}}) {
    const RunResult run = verb(arguments);
    EXPECT_EQ(run.status, 2) << arguments.front();
    EXPECT_THAT(run.err, HasSubstr(journal()));
    EXPECT_FALSE(std::filesystem::exists(journal())) << arguments.front();
  }
  EXPECT_EQ(verb({"chekc"}).status, 2);
  EXPECT_EQ(verb({"backup"}).status, 2);
}

TEST_F(UpkeepProcessTest, ADumpTellsEveryFact) {
  start_broker();
  submit(0, 2);
  const RunResult run = verb({"dump"});
  EXPECT_EQ(run.status, 0);
  EXPECT_THAT(run.out, StartsWith("1 accepted job=" + job_id_from_key("0").to_string() + " client=carl"));
  EXPECT_THAT(run.out, ::testing::Not(HasSubstr("xxx")));
  EXPECT_THAT(verb({"dump", "--json", "--payloads"}).out, HasSubstr("\"payload\":\"1xxx"));
}

TEST_F(UpkeepProcessTest, OutputThatIsLostIsNoSuccess) {
  start_broker();
  submit(0, 10);
  stop_broker();
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"check"},
                                             {"dump"},
                                             {"dump", "--payloads"},
                                             {"compact"},
                                             {"backup", (folder_ / "copy").string()},
                                             {"--print-config"},
                                             {"--help"}}) {
    const RunResult run = lost_verb("/dev/full", arguments);
    EXPECT_EQ(run.status, 4) << arguments.front();
    EXPECT_THAT(run.err, HasSubstr("tandem-broker: standard output: cannot write")) << arguments.front();
  }
  EXPECT_EQ(lost_verb("", {"dump"}).status, 128 + SIGPIPE) << "as any program whose reader has gone";

  // Damage is the worse news, however much of it there is to print.
  damage_a_payload();
  EXPECT_EQ(lost_verb("/dev/full", {"check"}).status, 1);
}

TEST_F(UpkeepProcessTest, ABackupIsMadeBesideTheBrokerAndIsAJournal) {
  start_broker();
  submit(0, 20);
  const std::string copy = (folder_ / "copy").string();
  const RunResult made = verb({"backup", copy});
  ASSERT_EQ(made.status, 0) << made.err;
  submit(20, 25);  // the broker never noticed
  EXPECT_THAT(verb({"check", copy}).out, HasSubstr("accepted=20"));

  // Not over another one.
  const RunResult again = verb({"backup", copy});
  EXPECT_EQ(again.status, 2);
  EXPECT_THAT(again.err, HasSubstr("expected an empty folder"));

  stop_broker();
  start_broker({"--set=journal.folder=" + copy});
  EXPECT_THAT(broker_->err(), HasSubstr("journal replayed ready=20"));
}

TEST_F(UpkeepProcessTest, CompactingNeedsTheJournalForItselfAndLosesNothing) {
  start_broker({"--set=broker.retention_s=0"});
  submit(0, 100);
  {
    auto socket = DealerSocket::connect(net_, endpoint("submit"));
    Cancel cancel{2, {}};
    for (int i = 0; i < 90; ++i) cancel.ids.push_back(job_id_from_key(std::to_string(i)));
    ASSERT_TRUE(socket->send(cancel));
    ASSERT_TRUE(wait({*socket}, 30s));
  }
  // They are forgotten within a second or two.
  for (int i = 0; i < 3'000 && verb({"check"}).out.find("accepted=10 ") == std::string::npos; ++i) {
  }
  const RunResult refused = verb({"compact"});
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("held by the process " + std::to_string(broker_->pid())));
  stop_broker();

  const auto before = std::filesystem::file_size(data());
  const RunResult compacted = verb({"compact"});
  EXPECT_EQ(compacted.status, 0) << compacted.err;
  EXPECT_LT(std::filesystem::file_size(data()), before / 2);
  EXPECT_THAT(verb({"check"}).out, HasSubstr("accepted=10 "));
  start_broker();
  EXPECT_THAT(broker_->err(), HasSubstr("journal replayed ready=10"));
  submit(100, 101);
}

// The moment that a compaction was killed in: the copy lies about, and is in nobody's way.
TEST_F(UpkeepProcessTest, TheRestOfAKilledCompactionIsNoHarm) {
  start_broker();
  submit(0, 5);
  stop_broker();
  std::filesystem::create_directory(folder_ / "journal" / "compacting");
  std::ofstream(folder_ / "journal" / "compacting" / "data.mdb") << "half";
  EXPECT_EQ(verb({"check"}).status, 0);
  EXPECT_EQ(verb({"compact"}).status, 0);
  EXPECT_THAT(verb({"check"}).out, HasSubstr("accepted=5 "));
}

TEST_F(UpkeepProcessTest, FiguresAreThereForPrometheus) {
  start_broker({"--set=metrics.listen=127.0.0.1:0"});
  const std::string out = broker_->out();
  const size_t at = out.find(" metrics=");
  ASSERT_NE(at, std::string::npos) << out;
  const std::string address = out.substr(at + 9, out.find('\n', at) - at - 9);
  // The first answer wakes a broker that has nothing to do.
  std::string first;
  for (int i = 0; i < 30 && first.find("tandem_jobs_accepted_total 0\n") == std::string::npos; ++i) {
    first = http_get(address, "/metrics");
  }
  EXPECT_THAT(first, HasSubstr("tandem_jobs_accepted_total 0\n"));
  submit(0, 3);
  double accepted = 0;
  for (int i = 0; i < 1'000 && accepted < 3; ++i) {  // figures are up to a second old
    const std::string answer = http_get(address, "/metrics");
    ASSERT_THAT(answer, StartsWith("200 "));
    const auto page = read_prometheus(answer.substr(4));
    ASSERT_EQ(page.error, "") << answer;
    if (page.samples.count("tandem_jobs_accepted_total") == 0) continue;  // no time to answer
    accepted = page.at("tandem_jobs_accepted_total");
    if (accepted == 3) {
      EXPECT_EQ(page.at("tandem_queue_depth{state=\"ready\"}"), 3);
      EXPECT_GE(page.at("tandem_journal_commit_seconds_count"), 1);
      EXPECT_EQ(page.at("tandem_journal_commit_facts_sum"), 3);
      EXPECT_GT(page.at("tandem_journal_used_bytes"), 0);
      EXPECT_GT(page.at("process_start_time_seconds"), 0);
    }
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_EQ(accepted, 3);
  stop_broker();
}

TEST_F(UpkeepProcessTest, FiguresAreNotForTheWorldUnlessSaidSo) {
  const RunResult run = verb({"--set=metrics.listen=0.0.0.0:0"});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err, HasSubstr("metrics.beyond_loopback"));
}

TEST_F(UpkeepProcessTest, AServiceManagerIsToldWhenItCanBeUsedAndWhenItStops) {
  NotifySocket manager(folder_ / "notify");
  start_broker({}, manager.path());
  EXPECT_EQ(manager.next(), "READY=1");
  broker_->kill(SIGTERM);
  EXPECT_EQ(manager.next(), "STOPPING=1");
  EXPECT_EQ(broker_->wait(), 0);
}

}  // namespace
}  // namespace tandem::broker
