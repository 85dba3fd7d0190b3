// Several workers of a host with one folder of blocks: real processes, one of which dies while it writes.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/worker/cache/kv_support.h"

namespace tandem {
namespace {

using namespace tandem::testing;

using KvSharingTest = KvStoreFixture;

// Started before this process opens the store: LMDB must not be carried over a fork.
template <typename Work>
pid_t in_a_child(const Work& work) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    work();
    ::_exit(0);
  }
  return pid;
}

TEST_F(KvSharingTest, ShowsOneProcessWhatOthersWrote) {
  std::vector<pid_t> children;
  for (int w = 0; w < 3; ++w) {
    children.push_back(in_a_child([&] {
      KvStore kv = open();
      for (int i = 0; i < 50; ++i) store(kv, numbers(w * 100'000 + i * 100, 80));
      if (::testing::Test::HasFailure()) ::_exit(1);
    }));
  }
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  const KvStore kv = open();
  for (int w = 0; w < 3; ++w) {
    for (int i = 0; i < 50; ++i) EXPECT_EQ(found(kv, numbers(w * 100'000 + i * 100, 80)), 80u);
  }
  EXPECT_EQ(kv.totals()->blocks, 450u);
}

TEST_F(KvSharingTest, GoesOnWhenAWriterIsKilled) {
  options_.bytes_max = 2u << 20;  // so that it evicts, too
  for (int round = 0; round < 20; ++round) {
    int to_parent[2];
    ASSERT_EQ(::pipe(to_parent), 0);
    const pid_t child = in_a_child([&] {
      KvStore kv = open();
      store(kv, numbers(round * 1000, 64));
      if (::write(to_parent[1], "!", 1) != 1) ::_exit(1);
      for (int i = 0;; ++i) store(kv, numbers(1'000'000 + i % 500 * 100, 90));
    });
    char byte = 0;
    ASSERT_EQ(::read(to_parent[0], &byte, 1), 1);
    {
      KvStore kv = open();
      for (int i = 0; i < 3 * round; ++i)
        store(kv, numbers(2'000'000 + i * 100, 40));  // some way into its work
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
      const Tokens text = numbers(3'000'000 + round * 1000, 64);
      store(kv, text);
      EXPECT_EQ(found(kv, text), 64u) << round;
      for (int i = 0; i < 500; ++i) (void)found(kv, numbers(1'000'000 + i * 100, 90));  // whole, or not there
      EXPECT_LE(kv.totals()->bytes, options_.bytes_max);
    }
    ::close(to_parent[0]);
    ::close(to_parent[1]);
  }
}

}  // namespace
}  // namespace tandem
