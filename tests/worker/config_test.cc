#include "worker/config.h"

#include <gmock/gmock.h>

#include "shared/base/file.h"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

ConfigSources sets(std::vector<std::string> given) {
  ConfigSources sources;
  sources.sets = std::move(given);
  sources.environment.emplace();  // not the one of whoever runs the tests
  return sources;
}

TEST(WorkerConfigTest, HasADefaultForEverything) {
  std::string printed;
  const auto config = load_worker_config(sets({}), &printed);
  ASSERT_TRUE(config) << config.error().text;
  EXPECT_EQ(config->batch_tokens_max, 512u);
  EXPECT_THAT(config->work_endpoint, HasSubstr("ipc://"));
  EXPECT_THAT(printed, AllOf(HasSubstr("[engine]"), HasSubstr("kv_bytes")));
}

TEST(WorkerConfigTest, TakesSettings) {
  const auto config = load_worker_config(sets({"worker.name=ann", "worker.drain=5s", "engine.kv_bytes=64MiB",
                                               "cache.enabled=false", "model.folder=/m"}));
  ASSERT_TRUE(config) << config.error().text;
  EXPECT_EQ(config->name, "ann");
  EXPECT_EQ(config->drain, 5s);
  EXPECT_EQ(config->kv_bytes, 64u << 20);
  EXPECT_FALSE(config->cache);
  EXPECT_EQ(config->model, "/m");
}

TEST(WorkerConfigTest, SaysAllMistakesAtOnce) {
  const auto config = load_worker_config(
      sets({"worker.name=a/b", "engine.threads=-1", "engine.sequences_max=many", "engine.colour=red"}));
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(config.error().text, AllOf(HasSubstr("worker.name"), HasSubstr("engine.threads"),
                                         HasSubstr("engine.sequences_max"), HasSubstr("engine.colour")));
}

// The file that is shipped shows every key with its default: it must not fall behind.
TEST(WorkerConfigTest, TheShippedFileSaysTheDefaults) {
  ConfigSources sources = sets({});
  std::string defaults, shipped;
  ASSERT_TRUE(load_worker_config(sources, &defaults));
  sources.file = "../configs/worker.toml";
  const auto config = load_worker_config(sources, &shipped);
  ASSERT_TRUE(config) << config.error().text;
  EXPECT_EQ(shipped, defaults);
}

// In a container the machine's name is a new one at every start, and its caches would be strangers.
TEST(WorkerConfigTest, AHostIsTheMachineUnlessItIsNamed) {
  auto config = load_worker_config(sets({}));
  ASSERT_TRUE(config && complete(*config));
  EXPECT_EQ(config->host, host_name());
  config = load_worker_config(sets({"worker.host=rack-7"}));
  ASSERT_TRUE(config && complete(*config));
  EXPECT_EQ(config->host, "rack-7");
  const auto too_long = load_worker_config(sets({"worker.host=" + std::string(129, 'x')}));
  ASSERT_FALSE(too_long);
  EXPECT_THAT(too_long.error().text, HasSubstr("worker.host"));
}

TEST(WorkerConfigTest, FiguresAreForThisMachineUnlessSaidOtherwise) {
  EXPECT_TRUE(load_worker_config(sets({"metrics.listen=127.0.0.1:9465"})));
  EXPECT_TRUE(load_worker_config(sets({"metrics.listen=0.0.0.0:9465", "metrics.beyond_loopback=true"})));
  const auto open = load_worker_config(sets({"metrics.listen=0.0.0.0:9465"}));
  ASSERT_FALSE(open);
  EXPECT_THAT(open.error().text, HasSubstr("metrics.beyond_loopback"));
}

TEST(WorkerConfigTest, NamesAWorkerAfterItsHostAndProcess) {
  WorkerConfig config;
  config.model = config.tasks = "given";
  ASSERT_TRUE(complete(config));
  EXPECT_THAT(config.name, HasSubstr(host_name() + "-"));
}

}  // namespace
}  // namespace tandem
