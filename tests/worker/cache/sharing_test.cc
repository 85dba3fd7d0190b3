// Several workers of a host with one folder: real processes, some of which die.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "tests/worker/cache/support.h"

namespace tandem {
namespace {

using namespace tandem::testing;

// A child that runs `work` and is told and tells by single bytes. Started before this process opens the
// cache: LMDB must not be carried over a fork.
class Child {
 public:
  template <typename Work>
  explicit Child(Work&& work) {
    EXPECT_EQ(::pipe(to_child_), 0);
    EXPECT_EQ(::pipe(to_parent_), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      work(*this);
      ::_exit(0);
    }
  }
  ~Child() {
    if (pid_ > 0) kill();
    for (const int fd : {to_child_[0], to_child_[1], to_parent_[0], to_parent_[1]}) ::close(fd);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // In the child.
  void say() { EXPECT_EQ(::write(to_parent_[1], "!", 1), 1); }
  void wait_for_word() { read_byte(to_child_[0]); }
  // In the parent.
  void tell() { EXPECT_EQ(::write(to_child_[1], "!", 1), 1); }
  void listen() { read_byte(to_parent_[0]); }
  // The status of its end, as waitpid() has it.
  int kill() {
    ::kill(pid_, SIGKILL);
    return finish();
  }
  int finish() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }

 private:
  static void read_byte(int fd) {
    char byte = 0;
    EXPECT_EQ(::read(fd, &byte, 1), 1);
  }

  int to_child_[2]{}, to_parent_[2]{};
  pid_t pid_ = -1;
};

class SharingTest : public ::testing::Test {
 protected:
  SharingTest() { options_.folder = folder_ / "cache"; }
  std::unique_ptr<AnswerCache> open() {
    auto cache = AnswerCache::open(options_, clock_);
    if (!cache) std::fprintf(stderr, "%s\n", cache.error().text.c_str());
    return cache ? std::move(*cache) : nullptr;
  }
  static bool has(AnswerCache& cache, const std::string& name) {
    const auto found = cache.find(key_of(name));
    return found && *found && (*found)->text->text == "answer " + name;
  }
  static void store(AnswerCache& cache, const std::string& name) {
    EXPECT_TRUE(cache.store(key_of(name), text_answer("answer " + name), std::chrono::seconds(0)));
  }

  TempDir folder_;
  AnswerCacheOptions options_;
  SystemClock clock_;
};

TEST_F(SharingTest, ShowsOneProcessWhatAnotherWrote) {
  Child child([&](Child& me) {
    const auto cache = open();
    me.wait_for_word();
    store(*cache, "from the child");
    me.say();
    me.wait_for_word();
    EXPECT_TRUE(cache->settle());
    me.say();
    me.wait_for_word();
    if (!has(*cache, "from the parent")) ::_exit(1);
    (void)cache->settle();
  });
  const auto cache = open();
  ASSERT_TRUE(cache);
  EXPECT_FALSE(has(*cache, "from the child"));
  child.tell();
  child.listen();
  EXPECT_FALSE(has(*cache, "from the child")) << "not flushed yet: its own process sees it only";
  child.tell();
  child.listen();
  EXPECT_TRUE(has(*cache, "from the child"));

  store(*cache, "from the parent");
  ASSERT_TRUE(cache->settle());
  child.tell();
  EXPECT_EQ(child.finish(), 0) << "the child found it";
}

TEST_F(SharingTest, KeepsWhatManyWriteAtOnce) {
  constexpr int kWriters = 3, kAnswers = 200;
  {
    std::vector<std::unique_ptr<Child>> children;
    for (int w = 0; w < kWriters; ++w) {
      children.push_back(std::make_unique<Child>([this, w](Child&) {
        const auto cache = open();
        for (int i = 0; i < kAnswers; ++i) {
          store(*cache, std::to_string(w) + "." + std::to_string(i));
          if (i % 7 == 0 && !cache->settle()) ::_exit(1);
        }
        if (!cache->settle()) ::_exit(1);
      }));
    }
    for (const auto& child : children) EXPECT_EQ(child->finish(), 0);
  }
  const auto cache = open();
  ASSERT_TRUE(cache);
  for (int w = 0; w < kWriters; ++w) {
    for (int i = 0; i < kAnswers; ++i) {
      EXPECT_TRUE(has(*cache, std::to_string(w) + "." + std::to_string(i))) << w << "." << i;
    }
  }
  EXPECT_EQ(cache->stats().entries, static_cast<uint64_t>(kWriters * kAnswers));
}

// A worker may be killed at any moment, also inside a transaction; those beside it must go on.
TEST_F(SharingTest, LosesNothingThatWasFlushedWhenAWriterIsKilled) {
  for (int round = 0; round < 5; ++round) {
    Child child([&](Child& me) {
      const auto cache = open();
      store(*cache, "flushed " + std::to_string(round));
      if (!cache->settle()) ::_exit(1);
      me.say();
      for (int i = 0;; ++i) {
        store(*cache, "later " + std::to_string(i % 50));
        (void)cache->settle();
      }
    });
    const auto cache = open();
    ASSERT_TRUE(cache);
    child.listen();
    for (int i = 0; i < 20 * round; ++i) (void)has(*cache, "later 1");  // some way into its work
    child.kill();

    for (int i = 0; i <= round; ++i) EXPECT_TRUE(has(*cache, "flushed " + std::to_string(i)));
    store(*cache, "after " + std::to_string(round));
    const auto flushed = cache->settle();
    EXPECT_TRUE(flushed) << flushed.error().text;
    EXPECT_TRUE(has(*cache, "after " + std::to_string(round)));
  }
}

// Workers that store, find and evict in one small folder, and are killed wherever they are.
TEST_F(SharingTest, IsRightAndWithinItsLimitAfterTwoHundredKills) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  options_.bytes_max = 200'000;
  constexpr int kWorkers = 4, kKills = 200;
  const auto start = [&] {
    return std::make_unique<Child>([this, own_seed = random()](Child& me) {
      std::mt19937 dice(static_cast<unsigned>(own_seed));
      const auto cache = open();
      if (!cache) ::_exit(1);
      me.say();
      for (int i = 0;; ++i) {
        const std::string name = std::to_string(dice() % 1'000);
        const auto found = cache->find(key_of(name));
        if (!found || (*found && !(**found).text->text.starts_with("answer " + name + " "))) ::_exit(2);
        if (!*found) {
          const std::string text = "answer " + name + " " + std::string(dice() % 3'000, 'x');
          if (!cache->store(key_of(name), text_answer(text), std::chrono::seconds(0))) ::_exit(3);
        }
        if (i % 8 == 7 && !cache->flush()) ::_exit(4);
      }
    });
  };
  std::vector<std::unique_ptr<Child>> workers(kWorkers);
  for (auto& worker : workers) worker = start();
  for (int i = 0; i < kKills; ++i) {
    auto& worker = workers[random() % kWorkers];
    worker->listen();
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 5'000));
    ASSERT_EQ(worker->kill(), SIGKILL) << "it ended by itself";
    worker = start();
  }
  workers.clear();

  const auto cache = open();
  ASSERT_TRUE(cache);
  uint64_t n_found = 0;
  for (int i = 0; i < 1'000; ++i) {
    const auto found = cache->find(key_of(std::to_string(i)));
    ASSERT_TRUE(found) << found.error().text;
    if (!*found) continue;
    ++n_found;
    EXPECT_TRUE((**found).text->text.starts_with("answer " + std::to_string(i) + " "));
  }
  EXPECT_GT(n_found, 10u);
  EXPECT_EQ(cache->stats().entries, n_found);
  EXPECT_LE(cache->stats().bytes, options_.bytes_max);
  store(*cache, "after");
  EXPECT_TRUE(cache->settle());
  EXPECT_TRUE(has(*cache, "after"));
}

}  // namespace
}  // namespace tandem
