// Real folders, and real processes that die.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "shared/store/environment.h"
#include "tests/support/temp_dir.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

EnvironmentOptions small() {
  EnvironmentOptions options;
  options.map_bytes = 1 << 20;
  return options;
}

class StoreTest : public ::testing::Test {
 protected:
  Environment open(const EnvironmentOptions& options = small()) {
    auto environment = Environment::open(folder(), options);
    EXPECT_TRUE(environment) << environment.error().text;
    return std::move(*environment);
  }
  std::filesystem::path folder() const { return temp_ / "store"; }

  static void put(Environment& environment, Table& table, std::string_view key, std::string_view value) {
    auto transaction = environment.write();
    ASSERT_TRUE(transaction);
    ASSERT_TRUE(table.put(*transaction, key, value));
    ASSERT_TRUE(transaction->commit());
  }
  static std::string get(const Environment& environment, const Table& table, std::string_view key) {
    const auto transaction = environment.read();
    EXPECT_TRUE(transaction);
    const auto value = table.get(*transaction, key);
    EXPECT_TRUE(value);
    return *value ? std::string(**value) : "(nothing)";
  }

  testing::TempDir temp_;
};

TEST_F(StoreTest, KeepsWhatWasCommitted) {
  {
    Environment environment = open();
    Table jobs = *environment.table("jobs");
    put(environment, jobs, "a", "1");
  }
  Environment environment = open();
  Table jobs = *environment.table("jobs");
  EXPECT_EQ(get(environment, jobs, "a"), "1");
  EXPECT_EQ(get(environment, jobs, "b"), "(nothing)");
}

TEST_F(StoreTest, ForgetsWhatWasNotCommitted) {
  Environment environment = open();
  Table jobs = *environment.table("jobs");
  {
    auto transaction = environment.write();
    ASSERT_TRUE(transaction && jobs.put(*transaction, "a", "1"));
  }
  EXPECT_EQ(get(environment, jobs, "a"), "(nothing)");
}

TEST_F(StoreTest, ReadsASnapshotWhileSomebodyWrites) {
  Environment environment = open();
  Table jobs = *environment.table("jobs");
  put(environment, jobs, "a", "1");
  const auto before = environment.read();
  ASSERT_TRUE(before);
  put(environment, jobs, "a", "2");
  EXPECT_EQ(**jobs.get(*before, "a"), "1");
  EXPECT_EQ(get(environment, jobs, "a"), "2");
}

TEST_F(StoreTest, TablesAreApart) {
  Environment environment = open();
  Table jobs = *environment.table("jobs"), results = *environment.table("results");
  put(environment, jobs, "a", "job");
  put(environment, results, "a", "result");
  EXPECT_EQ(get(environment, jobs, "a"), "job");
  EXPECT_EQ(get(environment, results, "a"), "result");
}

TEST_F(StoreTest, ErasesAndClears) {
  Environment environment = open();
  Table jobs = *environment.table("jobs");
  auto transaction = environment.write();
  ASSERT_TRUE(transaction);
  ASSERT_TRUE(jobs.put(*transaction, "a", "1") && jobs.put(*transaction, "b", "2"));
  EXPECT_EQ(jobs.erase(*transaction, "a"), true);
  EXPECT_EQ(jobs.erase(*transaction, "a"), false);
  EXPECT_EQ(jobs.count(*transaction), 1u);
  ASSERT_TRUE(jobs.clear(*transaction));
  EXPECT_EQ(jobs.count(*transaction), 0u);
}

TEST_F(StoreTest, PutsNewKeysOnceAndAppendsInOrder) {
  Environment environment = open();
  Table jobs = *environment.table("jobs");
  auto transaction = environment.write();
  ASSERT_TRUE(transaction);
  EXPECT_EQ(jobs.put_new(*transaction, "b", "1"), true);
  EXPECT_EQ(jobs.put_new(*transaction, "b", "2"), false);
  EXPECT_EQ(**jobs.get(*transaction, "b"), "1");
  EXPECT_TRUE(jobs.put_append(*transaction, "c", "3"));
  const auto below = jobs.put_append(*transaction, "a", "0");
  ASSERT_FALSE(below);
  EXPECT_EQ(below.error().code, ErrorCode::kInvalid);
}

TEST_F(StoreTest, WalksInTheOrderOfTheKeys) {
  Environment environment = open();
  Table jobs = *environment.table("jobs");
  auto transaction = environment.write();
  ASSERT_TRUE(transaction);
  for (const uint64_t n : {300ull, 2ull, 70000ull, 255ull}) {
    ASSERT_TRUE(jobs.put(*transaction, number_key(n), std::to_string(n)));
  }
  std::vector<std::string> seen;
  const auto visit = [&](std::string_view key, std::string_view value) {
    EXPECT_EQ(std::to_string(*number_from_key(key)), value);
    seen.emplace_back(value);
    return seen.size() < 3;
  };
  ASSERT_TRUE(jobs.for_each(*transaction, "", visit));
  EXPECT_THAT(seen, ElementsAre("2", "255", "300")) << "and stops when told";
  seen.clear();
  ASSERT_TRUE(jobs.for_each(*transaction, number_key(256), visit));
  EXPECT_THAT(seen, ElementsAre("300", "70000"));
}

TEST_F(StoreTest, CursorsGoBothWaysAndErase) {
  Environment environment = open();
  Table jobs = *environment.table("jobs");
  auto transaction = environment.write();
  ASSERT_TRUE(transaction);
  for (const char* key : {"a", "b", "c"}) ASSERT_TRUE(jobs.put(*transaction, key, key));
  {
    auto cursor = Cursor::open(*transaction, jobs);
    ASSERT_TRUE(cursor);
    EXPECT_EQ((*cursor->last())->key, "c");
    EXPECT_EQ((*cursor->previous())->key, "b");
    ASSERT_TRUE(cursor->erase());
    EXPECT_EQ((*cursor->next())->key, "c");
    EXPECT_FALSE(*cursor->next()) << "past the end";
    EXPECT_EQ((*cursor->first())->key, "a");
    EXPECT_FALSE(*cursor->seek("d"));
  }
  EXPECT_EQ(jobs.count(*transaction), 2u);
}

TEST_F(StoreTest, RefusesKeysThatAreEmptyOrTooLong) {
  Environment environment = open();
  Table jobs = *environment.table("jobs");
  auto transaction = environment.write();
  ASSERT_TRUE(transaction);
  EXPECT_TRUE(jobs.put(*transaction, std::string(511, 'k'), ""));
  for (const std::string& key : {std::string(), std::string(512, 'k')}) {
    const auto put = jobs.put(*transaction, key, "");
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().code, ErrorCode::kInvalid);
  }
}

TEST_F(StoreTest, SaysWhenItIsFullAndGoesOn) {
  Environment environment = open();
  Table jobs = *environment.table("jobs");
  put(environment, jobs, "kept", "1");
  {
    auto transaction = environment.write();
    ASSERT_TRUE(transaction);
    Result<void> put;
    for (uint64_t n = 0; n < 1000 && put; ++n)
      put = jobs.put(*transaction, number_key(n), std::string(10000, 'v'));
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().code, ErrorCode::kFull);
    EXPECT_THAT(put.error().text, HasSubstr("map_bytes"));
    EXPECT_THAT(put.error().text, HasSubstr(folder().string()));
  }
  EXPECT_EQ(get(environment, jobs, "kept"), "1");
  put(environment, jobs, "more", "2");
  EXPECT_EQ(get(environment, jobs, "more"), "2");
}

TEST_F(StoreTest, KnowsHowFullItIs) {
  Environment environment = open();
  Table jobs = *environment.table("jobs");
  const auto used = [&] { return environment.usage()->used_bytes; };
  EXPECT_EQ(environment.usage()->map_bytes, 1u << 20);
  const uint64_t empty = used();
  put(environment, jobs, "a", std::string(100'000, 'v'));
  const uint64_t filled = used();
  EXPECT_GE(filled, empty + 100'000);
  {
    auto transaction = environment.write();
    ASSERT_TRUE(transaction && *jobs.erase(*transaction, "a"));
    ASSERT_TRUE(transaction->commit());
  }
  EXPECT_LT(used(), filled - 50'000) << "freed pages are not in use, though the file keeps its size";
}

TEST_F(StoreTest, IsOpenedOnceInAProcess) {
  EnvironmentOptions shared = small();
  shared.exclusive = false;
  {
    Environment environment = open(shared);
    const auto again = Environment::open(folder(), shared);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, ErrorCode::kExists);
    EXPECT_THAT(again.error().text, HasSubstr("this process has the store open already"));
    std::filesystem::create_symlink(folder(), temp_ / "alias");
    EXPECT_FALSE(Environment::open(temp_ / "alias", shared)) << "by any name";
  }
  EXPECT_TRUE(Environment::open(folder(), shared)) << "closed, it can be opened again";
}

TEST_F(StoreTest, RefusesFilesThatAreNoStore) {
  std::filesystem::create_directories(folder());
  std::ofstream(folder() / "data.mdb") << std::string(8192, 'x');
  const auto environment = Environment::open(folder(), small());
  ASSERT_FALSE(environment);
  EXPECT_EQ(environment.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(environment.error().text, HasSubstr(folder().string()));
}

// The power went while the first file was written: nobody was promised anything yet, so it is begun again.
TEST_F(StoreTest, BeginsAgainWhenItsBeginningWasCutOff) {
  std::filesystem::create_directories(folder() / "new");
  std::ofstream(folder() / "new" / "data.mdb") << std::string(5000, '\0');
  Environment environment = open();
  Table jobs = *environment.table("jobs");
  put(environment, jobs, "a", "1");
  EXPECT_EQ(get(environment, jobs, "a"), "1");
  EXPECT_FALSE(std::filesystem::exists(folder() / "new"));
}

TEST_F(StoreTest, SaysWhenItsFolderCannotBeMade) {
  std::ofstream(temp_ / "file") << "in the way";
  const auto environment = Environment::open(temp_ / "file/store", small());
  ASSERT_FALSE(environment);
  EXPECT_EQ(environment.error().code, ErrorCode::kIo);
  EXPECT_THAT(environment.error().text, HasSubstr((temp_ / "file/store").string()));
}

// ---- several processes
// -------------------------------------------------------------------------------------

// A child that does `work` and ends with its answer as the exit status.
template <typename Work>
pid_t start(Work&& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work());
  return child;
}

int status_of(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

struct Pipe {
  Pipe() { EXPECT_EQ(::pipe(fds), 0); }
  ~Pipe() {
    ::close(fds[0]);
    ::close(fds[1]);
  }
  void say() const {
    const char byte = 1;
    [[maybe_unused]] const auto written = ::write(fds[1], &byte, 1);
  }
  bool hear() const {
    char byte = 0;
    return ::read(fds[0], &byte, 1) == 1;
  }
  int fds[2];
};

TEST_F(StoreTest, BelongsToOneProcessWhenExclusive) {
  const Pipe opened, enough;
  const pid_t child = start([&] {
    const auto environment = Environment::open(folder(), small());
    opened.say();
    enough.hear();
    return environment ? 0 : 1;
  });
  ASSERT_TRUE(opened.hear());
  EnvironmentOptions shared = small();
  shared.exclusive = false;
  for (const EnvironmentOptions& options : {small(), shared}) {
    const auto second = Environment::open(folder(), options);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::kExists);
    EXPECT_THAT(second.error().text, HasSubstr(folder().string()));
    EXPECT_THAT(second.error().text, HasSubstr("the process " + std::to_string(child)));
  }
  enough.say();
  EXPECT_EQ(status_of(child), 0);
  EXPECT_TRUE(Environment::open(folder(), small())) << "its end frees the store";
}

TEST_F(StoreTest, IsSharedByProcessesThatSaySo) {
  EnvironmentOptions shared = small();
  shared.exclusive = false;
  shared.durable = false;
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    children.push_back(start([&, i] {
      auto environment = Environment::open(folder(), shared);
      if (!environment) return 1;
      auto table = environment->table("answers");
      if (!table) return 2;
      for (int n = 0; n < 50; ++n) {
        auto transaction = environment->write();
        if (!transaction) return 3;
        if (!table->put(*transaction, std::to_string(i) + "." + std::to_string(n), "v")) return 4;
        if (!transaction->commit()) return 5;
      }
      return 0;
    }));
  }
  for (const pid_t child : children) EXPECT_EQ(status_of(child), 0);
  Environment environment = open(shared);
  const Table table = *environment.table("answers");
  EXPECT_EQ(table.count(*environment.read()), 200u);
}

// Each transaction puts the same number under two keys. Whenever the writer dies, a reader sees both or none,
// and all that the writer knew to be committed.
TEST_F(StoreTest, IsWholeAfterItsWriterWasKilled) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  uint64_t n_before = 0;
  for (int round = 0; round < 8; ++round) {
    const Pipe committed;
    const pid_t child = start([&] {
      auto environment = Environment::open(folder(), small());
      if (!environment) return 1;
      auto left = environment->table("left"), right = environment->table("right");
      if (!left || !right) return 2;
      for (uint64_t n = n_before;; ++n) {
        auto transaction = environment->write();
        if (!transaction || !left->put(*transaction, "last", number_key(n)) ||
            !left->put(*transaction, number_key(n % 100), std::string(n % 3000, 'l')) ||
            !right->put(*transaction, "last", number_key(n)) || !transaction->commit()) {
          return 3;
        }
        committed.say();
      }
    });
    const uint64_t n_commits = 1 + random() % 50;
    for (uint64_t n = 0; n < n_commits; ++n) ASSERT_TRUE(committed.hear());
    ::kill(child, SIGKILL);
    EXPECT_EQ(status_of(child), -1) << "it was killed, and did not fail before";

    Environment environment = open();
    const Table left = *environment.table("left"), right = *environment.table("right");
    const auto transaction = environment.read();
    const auto last_left = number_from_key(left.get(*transaction, "last")->value());
    const auto last_right = number_from_key(right.get(*transaction, "last")->value());
    EXPECT_EQ(last_left, last_right);
    EXPECT_GE(*last_left + 1, n_before + n_commits);
    n_before = *last_left + 1;
  }
}

// A reader that dies keeps its snapshot's pages until somebody clears it away.
TEST_F(StoreTest, ClearsReadersOfDeadProcesses) {
  EnvironmentOptions shared = small();
  shared.exclusive = false;
  const Pipe reading, opened;
  const pid_t child = start([&] {
    const auto environment = Environment::open(folder(), shared);
    const auto transaction = environment->read();
    reading.say();
    opened.hear();
    ::raise(SIGKILL);
    return 0;
  });
  ASSERT_TRUE(reading.hear());
  Environment environment = open(shared);
  EXPECT_EQ(environment.clear_dead_readers(), 0u) << "it lives";
  opened.say();
  EXPECT_EQ(status_of(child), -1);
  EXPECT_EQ(environment.clear_dead_readers(), 1u);
}

}  // namespace
}  // namespace tandem
