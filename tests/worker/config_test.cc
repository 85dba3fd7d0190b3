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

TEST(WorkerConfigTest, NamesAWorkerAfterItsHostAndProcess) {
  WorkerConfig config;
  config.model = config.tasks = "given";
  ASSERT_TRUE(complete(config));
  EXPECT_THAT(config.name, HasSubstr(host_name() + "-"));
}

}  // namespace
}  // namespace tandem
