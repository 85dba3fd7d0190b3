// The example of client/README.md does what it says.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/client/fake_broker.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace tandem::testing {
namespace {

TEST(Example, PrintsAnAnswerForEachText) {
  TempDir folder;
  std::atomic<bool> done = false;
  std::thread thread([&] {
    FakeBroker broker(folder.path());
    broker.run(done);
  });
  const RunResult run = run_process({"client_example", "ipc://" + (folder / "submit").string(),
                                     "ipc://" + (folder / "results-out").string(), "echo", "one", "two"});
  done = true;
  thread.join();
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, ::testing::AllOf(::testing::HasSubstr("one: echo: one\n"),
                                        ::testing::HasSubstr("two: echo: two\n")));
}

}  // namespace
}  // namespace tandem::testing
