// Looking at a store that somebody else has open, copying it, and giving its free pages back.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "shared/store/compact.h"
#include "shared/store/environment.h"
#include "tests/support/temp_dir.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

EnvironmentOptions looking() {
  EnvironmentOptions options;
  options.read_only = true;
  return options;
}

void put(Environment& environment, std::string_view key, std::string_view value) {
  Table table = *environment.table("jobs");
  auto transaction = environment.write();
  ASSERT_TRUE(table.put(*transaction, key, value));
  ASSERT_TRUE(transaction->commit());
}

std::string get(Environment& environment, std::string_view key) {
  const auto table = environment.table("jobs");
  if (!table) return table.error().text;
  const auto transaction = environment.read();
  const auto value = table->get(*transaction, key);
  return *value ? std::string(**value) : "(nothing)";
}

// Another process, which does `body` and then keeps what it holds until it is told to go on or to end.
class Other {
 public:
  explicit Other(const std::function<void(const std::function<void()>& pause)>& body) {
    int there[2], back[2];
    EXPECT_EQ(::pipe(there) + ::pipe(back), 0);
    child_ = ::fork();
    if (child_ == 0) {
      body([&] {
        char byte = '.';
        if (::write(back[1], &byte, 1) != 1 || ::read(there[0], &byte, 1) != 1) ::_exit(1);
      });
      ::_exit(0);
    }
    to_ = there[1];
    from_ = back[0];
    ::close(back[1]);
    wait_for_pause();
  }
  ~Other() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    ::close(to_);
    ::close(from_);
  }
  void go_on() {
    EXPECT_EQ(::write(to_, ".", 1), 1);
    wait_for_pause();
  }

 private:
  void wait_for_pause() {
    char byte = 0;
    EXPECT_EQ(::read(from_, &byte, 1), 1);
  }
  pid_t child_ = -1;
  int to_ = -1, from_ = -1;
};

class BesideTest : public ::testing::Test {
 protected:
  std::filesystem::path folder() const { return temp_ / "store"; }
  uintmax_t file_bytes() const { return std::filesystem::file_size(folder() / "data.mdb"); }
  // 200 values of 10 kB, and all but ten erased again.
  void fill_and_erase() {
    auto environment = Environment::open(folder(), {});
    for (int i = 0; i < 200; ++i) put(*environment, std::to_string(i), std::string(10'000, 'x'));
    Table table = *environment->table("jobs");
    auto transaction = environment->write();
    for (int i = 10; i < 200; ++i) ASSERT_TRUE(*table.erase(*transaction, std::to_string(i)));
    ASSERT_TRUE(transaction->commit());
  }
  static Result<void> good(const std::filesystem::path&) { return {}; }

  testing::TempDir temp_;
};

TEST_F(BesideTest, ALookSeesWhatTheOwnerHasCommitted) {
  Other owner([&](const auto& pause) {
    auto environment = Environment::open(folder(), {});
    put(*environment, "a", "1");
    pause();
    put(*environment, "a", "2");
    pause();
  });
  auto look = Environment::open(folder(), looking());
  ASSERT_TRUE(look) << look.error().text;
  EXPECT_EQ(get(*look, "a"), "1");
  owner.go_on();
  EXPECT_EQ(get(*look, "a"), "2");
}

TEST_F(BesideTest, AnOwnerComesWhileSomebodyLooks) {
  {
    auto owner = Environment::open(folder(), {});
    put(*owner, "a", "1");
  }
  Other reader([&](const auto& pause) {
    auto look = Environment::open(folder(), looking());
    if (!look || get(*look, "a") != "1") ::_exit(1);
    pause();
    if (get(*look, "a") != "2") ::_exit(1);
    pause();
  });
  {
    auto owner = Environment::open(folder(), {});
    ASSERT_TRUE(owner) << owner.error().text;
    put(*owner, "a", "2");
  }
  reader.go_on();
}

TEST_F(BesideTest, ALookMakesNothing) {
  const auto nothing = Environment::open(folder(), looking());
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(folder()));
  {
    auto owner = Environment::open(folder(), {});
    put(*owner, "a", "1");
  }
  auto look = Environment::open(folder(), looking());
  const auto missing = look->table("tasks");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().text, HasSubstr("tasks"));
}

TEST_F(BesideTest, ACopyIsAStoreOfItsOwnWithoutFreePages) {
  fill_and_erase();
  std::filesystem::create_directory(temp_ / "copy");
  {
    const auto look = Environment::open(folder(), looking());
    ASSERT_TRUE(look->copy_to(temp_ / "copy"));
  }
  EXPECT_LT(std::filesystem::file_size(temp_ / "copy" / "data.mdb"), file_bytes() / 4);
  auto copy = Environment::open(temp_ / "copy", {});
  EXPECT_EQ(get(*copy, "3"), std::string(10'000, 'x'));
  EXPECT_EQ(get(*copy, "30"), "(nothing)");
}

TEST_F(BesideTest, CompactingGivesFreePagesBackAndKeepsEverything) {
  fill_and_erase();
  const uintmax_t before = file_bytes();
  const auto sizes = compact_store(folder(), good);
  ASSERT_TRUE(sizes) << sizes.error().text;
  EXPECT_EQ(sizes->bytes_before, before);
  EXPECT_EQ(sizes->bytes_after, file_bytes());
  EXPECT_LT(file_bytes(), before / 4);
  EXPECT_FALSE(std::filesystem::exists(folder() / "compacting"));

  auto environment = Environment::open(folder(), {});
  EXPECT_EQ(get(*environment, "9"), std::string(10'000, 'x'));
  EXPECT_EQ(get(*environment, "10"), "(nothing)");
  put(*environment, "10", "back");
  EXPECT_EQ(get(*environment, "10"), "back");
}

// Without the rest of a compaction that was killed being in the way.
TEST_F(BesideTest, ACopyThatIsNotGoodIsThrownAway) {
  fill_and_erase();
  const uintmax_t before = file_bytes();
  std::filesystem::create_directory(folder() / "compacting");
  const auto outcome = compact_store(folder(), [](const std::filesystem::path& copy) -> Result<void> {
    EXPECT_TRUE(std::filesystem::exists(copy / "data.mdb"));
    return fail(ErrorCode::kCorrupt, "not good");
  });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().text, "not good");
  EXPECT_EQ(file_bytes(), before);
  EXPECT_FALSE(std::filesystem::exists(folder() / "compacting"));
  auto environment = Environment::open(folder(), {});
  EXPECT_EQ(get(*environment, "3"), std::string(10'000, 'x'));
}

TEST_F(BesideTest, NothingIsCompactedWhileSomebodyHasItOpen) {
  fill_and_erase();
  for (const bool only_looks : {false, true}) {
    Other other([&](const auto& pause) {
      const auto environment = Environment::open(folder(), only_looks ? looking() : EnvironmentOptions());
      if (!environment) ::_exit(1);
      pause();
    });
    const auto outcome = compact_store(folder(), good);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, ErrorCode::kExists) << outcome.error().text;
  }
  EXPECT_TRUE(compact_store(folder(), good));
}

TEST_F(BesideTest, ThereMustBeAStoreToCompact) {
  EXPECT_EQ(compact_store(folder(), good).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(folder()));
}

}  // namespace
}  // namespace tandem
