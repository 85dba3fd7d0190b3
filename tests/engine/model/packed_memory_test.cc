#include "worker/engine/model/packed_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <functional>
#include <thread>

#include "tests/engine/support/golden.h"
#include "tests/engine/support/pack_pattern.h"
#include "tests/engine/support/packed.h"
#include "tests/engine/support/simds.h"
#include "tests/support/process.h"
#include "tests/support/small_disk.h"
#include "tests/support/temp_dir.h"
#include "worker/engine/model/model.h"

namespace tandem::engine {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using testing::fill_pattern;
using testing::has_pattern;
using testing::must;
using testing::Process;
using testing::RunResult;
using testing::TempDir;
using ::testing::UnorderedElementsAre;

constexpr size_t kBytes = 300'000;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().filename());
  }
  return names;
}

void overwrite(const fs::path& file, size_t at, const std::string& bytes) {
  std::fstream stream(file, std::ios::binary | std::ios::in | std::ios::out);
  stream.seekp(static_cast<std::streamoff>(at));
  stream << bytes;
}

class PackedMemoryTest : public ::testing::Test {
 protected:
  // Opens "weights", counts the times it is packed, and checks what is there.
  PackedMemory open(const fs::path& folder, size_t n_bytes = kBytes) {
    PackedMemory memory = must(PackedMemory::open(folder, "weights", n_bytes, [&](std::byte* to) {
      ++n_fills_;
      EXPECT_TRUE(std::all_of(to, to + n_bytes, [](std::byte b) { return b == std::byte{0}; }));
      fill_pattern(to, n_bytes);
    }));
    EXPECT_TRUE(has_pattern(memory.data(), n_bytes));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.data()) % 64, 0u);
    return memory;
  }
  fs::path file() const { return folder_ / "weights.packed"; }

  const TempDir folder_;
  int n_fills_ = 0;
};

TEST_F(PackedMemoryTest, PacksOnceAndMapsTheFileFromThenOn) {
  EXPECT_TRUE(open(folder_.path()).is_shared());
  EXPECT_EQ(n_fills_, 1);
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("weights.packed"));
  const PackedMemory second = open(folder_.path()), third = open(folder_.path());
  EXPECT_TRUE(second.is_shared());
  EXPECT_TRUE(third.is_shared());
  EXPECT_EQ(n_fills_, 1);
}

TEST_F(PackedMemoryTest, MakesItsFolder) {
  EXPECT_TRUE(open(folder_ / "a" / "b").is_shared());
  EXPECT_THAT(names_in(folder_ / "a" / "b"), ElementsAre("weights.packed"));
}

TEST_F(PackedMemoryTest, MakesAgainWhatIsNotWholeOrNotItsOwn) {
  const std::pair<const char*, std::function<void()>> damages[] = {
      {"gone", [&] { fs::remove(file()); }},
      {"empty", [&] { fs::resize_file(file(), 0); }},
      {"cut off", [&] { fs::resize_file(file(), 4096 + kBytes - 1); }},
      {"header only", [&] { fs::resize_file(file(), 4096); }},
      {"too long", [&] { fs::resize_file(file(), 4096 + kBytes + 1); }},
      {"another format", [&] { overwrite(file(), 0, "tandem-packed-9\n"); }},
      {"another model", [&] { overwrite(file(), 16, "w0ights\n"); }},
      {"a longer name", [&] { overwrite(file(), 23, "-2\n"); }},
      {"no header", [&] { overwrite(file(), 0, std::string(4096, '\0')); }},
      {"rubbish", [&] { overwrite(file(), 4095, "x"); }},
      {"other weights", [&] { overwrite(file(), 4096 + kBytes / 2, "flipped"); }},
      {"another last byte", [&] { overwrite(file(), 4096 + kBytes - 2, "~~"); }},
  };
  open(folder_.path());
  for (const auto& [what, damage] : damages) {
    SCOPED_TRACE(what);
    damage();
    n_fills_ = 0;
    EXPECT_TRUE(open(folder_.path()).is_shared());
    EXPECT_EQ(n_fills_, 1);
    EXPECT_TRUE(open(folder_.path()).is_shared());
    EXPECT_EQ(n_fills_, 1) << "the new one holds";
  }
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("weights.packed"));
}

// A process that maps the old file keeps it; nothing is written in place.
TEST_F(PackedMemoryTest, LeavesThoseAloneWhoMapTheFileThatIsReplaced) {
  const PackedMemory before = open(folder_.path());
  fs::remove(file());
  open(folder_.path(), kBytes / 2);
  EXPECT_TRUE(has_pattern(before.data(), kBytes));
}

TEST_F(PackedMemoryTest, UsesItsOwnMemoryWhereThereCanBeNoFile) {
  std::ofstream(folder_ / "file") << "no folder";
  fs::create_directories(folder_ / "taken" / "weights.packed" / "by a folder");
  for (const fs::path& folder :
       {fs::path(), fs::path("/proc/no/such"), folder_ / "file", folder_ / "file" / "x", folder_ / "taken"}) {
    SCOPED_TRACE(folder);
    n_fills_ = 0;
    const PackedMemory memory = open(folder);
    EXPECT_FALSE(memory.is_shared());
    EXPECT_GE(n_fills_, 1);
  }
  EXPECT_THAT(names_in(folder_ / "taken"), ElementsAre("weights.packed"));
}

TEST_F(PackedMemoryTest, PacksOnceWhenThreadsOpenItAtOnce) {
  for (int round = 0; round < 10; ++round) {
    std::atomic<int> n_fills = 0, n_good = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, round] {
        const auto memory =
            PackedMemory::open(folder_.path(), std::to_string(round), kBytes, [&](std::byte* to) {
              ++n_fills;
              fill_pattern(to, kBytes);
            });
        if (memory && memory->is_shared() && has_pattern(memory->data(), kBytes)) ++n_good;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(n_fills, 1);
    EXPECT_EQ(n_good, 4);
  }
}

// ---- several processes

std::vector<std::string> pack_here(const fs::path& folder, size_t n_bytes) {
  return {"pack_here", folder, std::to_string(n_bytes)};
}

TEST_F(PackedMemoryTest, PacksOnceWhenProcessesOpenItAtOnce) {
  std::vector<Process> processes;
  for (int i = 0; i < 4; ++i) processes.emplace_back(pack_here(folder_ / "packed", 20 * kBytes));
  std::vector<std::string> words;
  for (Process& process : processes) {
    EXPECT_EQ(process.wait(), 0) << process.err();
    words.push_back(process.out());
  }
  const std::string mapped = "fills 0, shared 1, whole 1\n", packed = "fills 1, shared 1, whole 1\n";
  EXPECT_THAT(words, UnorderedElementsAre(packed, mapped, mapped, mapped));
}

// kill -9 in the middle: what is left behind has another name, and is no lock.
TEST_F(PackedMemoryTest, BelievesNothingThatAKilledProcessLeaves) {
  std::vector<std::string> stopping = pack_here(folder_.path(), kBytes);
  stopping.push_back("stop");
  Process killed(stopping);
  ASSERT_TRUE(killed.wait_for_output("packing")) << killed.err();
  EXPECT_FALSE(fs::exists(file()));
  Process waiting(pack_here(folder_.path(), kBytes));  // waits for the one that packs, and takes over
  EXPECT_TRUE(waiting.running());
  killed.kill(SIGKILL);
  EXPECT_EQ(killed.wait(), 128 + SIGKILL);
  EXPECT_EQ(waiting.wait(), 0) << waiting.err();
  EXPECT_EQ(waiting.out(), "fills 1, shared 1, whole 1\n");
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("weights.packed"));

  fs::remove(file());
  Process killed_alone(stopping);
  ASSERT_TRUE(killed_alone.wait_for_output("packing"));
  killed_alone.kill(SIGKILL);
  EXPECT_EQ(killed_alone.wait(), 128 + SIGKILL);
  EXPECT_FALSE(fs::exists(file()));
  n_fills_ = 0;
  EXPECT_TRUE(open(folder_.path()).is_shared());
  EXPECT_EQ(n_fills_, 1);
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("weights.packed"));
}

TEST_F(PackedMemoryTest, UsesItsOwnMemoryWhereThereIsNoRoomOrNothingMayBeWritten) {
  const auto run = [&](const std::string& size) {
    return testing::run_process(
        testing::on_small_disk(folder_ / "disk", size, pack_here(folder_ / "disk", kBytes)));
  };
  const RunResult with_room = run("1m");
  if (with_room.status != 0) GTEST_SKIP() << "this system does not let users mount a tmpfs";
  EXPECT_EQ(with_room.out, "fills 1, shared 1, whole 1\n");
  for (const char* size : {"64k", "296k", "300k", "1m,ro"}) {  // the file would be 297 KiB
    EXPECT_EQ(run(size).out, "fills 1, shared 0, whole 1\n") << size;
  }
}

// ---- models

// Logits of every token of a prompt.
std::vector<float> logits_of(Model& model) {
  KvCache kv = must(KvCache::create(model.kv_shape(), 4));
  KvSequence sequence = kv.make_sequence();
  const Tokens tokens = {1, 50, 300, 7, 7, 1000, 42};
  EXPECT_TRUE(kv.reserve(sequence, tokens.size()));
  const BatchRow row{&sequence, tokens, tokens.size()};
  Logits logits;
  model.forward({&row, 1}, kv, logits);
  return logits.values;
}

TEST(PackedModelTest, GivesTheSameBitsFromAFileOfItsOwnForEachComputeType) {
  const TempDir folder;
  size_t n_files = 0;
  for (const char* name : {"qwen2-gqa", "qwen3-tiny"}) {
    for (const ComputeType compute : testing::kComputeTypes) {
      SCOPED_TRACE(std::string(name) + " " + std::string(name_of(compute)));
      ModelOptions options{.n_threads = 2, .compute = compute};
      const auto model = must(Model::load(testing::kGoldenModels + std::string(name), options));
      const std::vector<float> expected = logits_of(*model);
      options.packed_folder = folder.path();
      const fs::path file = folder / (model->fingerprint() + ".packed");
      fs::file_time_type written;
      for (int load = 0; load < 2; ++load) {
        const auto packed = must(Model::load(testing::kGoldenModels + std::string(name), options));
        EXPECT_EQ(packed->fingerprint(), model->fingerprint());
        EXPECT_TRUE(testing::same_bits(logits_of(*packed), expected)) << "load " << load;
        EXPECT_TRUE(packed->weights_are_shared());
        if (load == 0) written = fs::last_write_time(file);
        EXPECT_EQ(fs::last_write_time(file), written) << "the second load maps";
      }
      EXPECT_EQ(names_in(folder.path()).size(), ++n_files);
    }
  }
}

}  // namespace
}  // namespace tandem::engine
