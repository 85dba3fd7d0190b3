#include "broker/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace tandem::broker {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

ConfigSources from(std::vector<std::string> sets) {
  ConfigSources sources;
  sources.sets = std::move(sets);
  sources.environment.emplace();
  return sources;
}

// The tests run in the folder tests/.
TEST(BrokerConfigTest, TheShippedFileHasTheDefaults) {
  ConfigSources shipped = from({});
  shipped.file = "../configs/broker.toml";
  std::string printed, defaults;
  const auto config = load_config(shipped, &printed);
  ASSERT_TRUE(config) << config.error().text;
  ASSERT_TRUE(load_config(from({}), &defaults));
  EXPECT_EQ(printed, defaults);
}

TEST(BrokerConfigTest, ASettingIsTakenFromTheCommandLineAndTheEnvironment) {
  ConfigSources sources = from({"broker.lease_ms=5000", "broker.submit=tcp://127.0.0.1:5555"});
  sources.environment->emplace_back("TANDEM_BROKER_HEARTBEAT_MS", "1000");
  const auto config = load_config(sources);
  ASSERT_TRUE(config) << config.error().text;
  EXPECT_EQ(config->dispatcher.lease, 5s);
  EXPECT_EQ(config->dispatcher.heartbeat, 1s);
  EXPECT_EQ(config->ports.submit, "tcp://127.0.0.1:5555");
}

TEST(BrokerConfigTest, AllMistakesAreReportedAtOnce) {
  const auto config =
      load_config(from({"broker.lease_mss=5000", "broker.attempts_max=0", "journal.watermark=2"}));
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(config.error().text, HasSubstr("lease_mss"));
  EXPECT_THAT(config.error().text, HasSubstr("attempts_max"));
  EXPECT_THAT(config.error().text, HasSubstr("watermark"));
}

// A worker that misses one heartbeat is not dead.
TEST(BrokerConfigTest, ALeaseHoldsAtLeastThreeHeartbeats) {
  EXPECT_TRUE(load_config(from({"broker.lease_ms=6000", "broker.heartbeat_ms=2000"})));
  const auto config = load_config(from({"broker.lease_ms=5999", "broker.heartbeat_ms=2000"}));
  ASSERT_FALSE(config);
  EXPECT_THAT(config.error().text, HasSubstr("a third of broker.lease_ms"));
}

}  // namespace
}  // namespace tandem::broker
