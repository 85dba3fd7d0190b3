#include "shared/base/ids.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <unordered_set>
#include <vector>

namespace tandem {
namespace {

TEST(JobId, MadeLaterSortsLater) {
  JobId before = make_job_id();
  for (int i = 0; i < 100000; ++i) {  // many a millisecond
    const JobId id = make_job_id();
    ASSERT_LT(before, id) << i;
    before = id;
  }
}

TEST(JobId, IsAUuidOfVersion7) {
  for (int i = 0; i < 1000; ++i) {
    const JobId id = make_job_id();
    EXPECT_EQ(id.bytes[6] >> 4, 7);
    EXPECT_EQ(id.bytes[8] >> 6, 2);
  }
}

TEST(JobId, IsUniqueAcrossThreads) {
  std::vector<std::vector<JobId>> made(4);
  std::vector<std::thread> threads;
  for (auto& ids : made) {
    threads.emplace_back([&ids] {
      for (int i = 0; i < 20000; ++i) ids.push_back(make_job_id());
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::unordered_set<JobId> all;
  for (const auto& ids : made) all.insert(ids.begin(), ids.end());
  EXPECT_EQ(all.size(), 80000u);
}

TEST(JobId, IsWrittenAndReadAsText) {
  const auto id = JobId::parse("01890a5d-ac96-774b-bcce-b302099a8057");
  ASSERT_TRUE(id);
  EXPECT_EQ(id->bytes[0], 0x01);
  EXPECT_EQ(id->bytes[15], 0x57);
  EXPECT_EQ(id->to_string(), "01890a5d-ac96-774b-bcce-b302099a8057");
  EXPECT_EQ(JobId::parse("01890A5D-AC96-774B-BCCE-B302099A8057"), *id) << "in capitals, too";
}

TEST(JobId, RefusesTextThatIsNone) {
  for (const char* bad :
       {"", "01890a5d", "01890a5dac96774bbcceb302099a8057", "01890a5d-ac96-774b-bcce-b302099a805",
        "01890a5d-ac96-774b-bcce-b302099a80577", "01890a5d-ac96-774b-bcce-b302099a805g",
        "01890a5d_ac96-774b-bcce-b302099a8057", "0189-0a5dac96-774b-bcce-b302099a8057"}) {
    const auto id = JobId::parse(bad);
    ASSERT_FALSE(id) << bad;
    EXPECT_EQ(id.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(id.error().text, ::testing::HasSubstr(bad));
  }
}

TEST(JobId, OfAKeyIsAlwaysTheSame) {
  EXPECT_EQ(job_id_from_key("row 1"), job_id_from_key("row 1"));
  EXPECT_NE(job_id_from_key("row 1"), job_id_from_key("row 2"));
  EXPECT_EQ(job_id_from_key("row 1").bytes[6] >> 4, 8);
  // Stored by callers, so it must not change from one release to the next.
  EXPECT_EQ(job_id_from_key("row 1").to_string(), "938bb232-791c-8adc-a097-dcb9c51b5dd2");
}

TEST(JobId, ComesFromSixteenBytes) {
  const JobId id = make_job_id();
  EXPECT_EQ(JobId::from_bytes(std::as_bytes(std::span(id.bytes))), id);
  EXPECT_FALSE(JobId::from_bytes(std::as_bytes(std::span(id.bytes)).first(15)));
}

}  // namespace
}  // namespace tandem
