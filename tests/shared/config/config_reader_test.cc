#include "shared/config/config_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temp_dir.h"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

enum class Compute { kF32, kQ8 };

struct Config {
  std::string submit = "ipc:///run/submit";
  milliseconds lease = 10s;
  milliseconds ttl = 1h;
  milliseconds pause = 250ms;
  uint64_t journal_bytes = 64ull << 20;
  uint32_t attempts_max = 3;
  double share = 0.5;
  bool verbose = false;
  std::vector<std::string> tasks = {"reply"};
  std::filesystem::path models = "models";
  Compute compute = Compute::kF32;
};

class ConfigReaderTest : public ::testing::Test {
 protected:
  Result<Config> load() {
    sources_.environment = environment_;
    if (!text_.empty()) {
      sources_.file = folder_ / "broker.toml";
      std::ofstream(sources_.file) << text_;
    }
    TANDEM_ASSIGN(auto reader, ConfigReader::open(sources_));
    Config config;
    reader.key("broker.submit", config.submit, "where clients send jobs");
    reader.key("broker.lease_ms", config.lease, {100ms, 1h}, "how long a worker may be silent");
    reader.key("broker.ttl_s", config.ttl, {1s}, "how long results are kept");
    reader.key("broker.pause", config.pause, {}, "between attempts");
    reader.bytes("broker.journal_bytes", config.journal_bytes, {1 << 20}, "upper limit of the journal");
    reader.key("broker.attempts_max", config.attempts_max, {1, 100}, "leases of a job");
    reader.key("worker.share", config.share, {0, 1}, "of the cores");
    reader.key("worker.verbose", config.verbose, "say more");
    reader.key("worker.tasks", config.tasks, "what it can do");
    reader.key("worker.models", config.models, "where models are");
    reader.choice("worker.compute", config.compute, {{"f32", Compute::kF32}, {"q8", Compute::kQ8}},
                  "number type");
    printed_ = reader.print();
    TANDEM_TRY(reader.finish());
    return config;
  }
  Config good() {
    auto config = load();
    EXPECT_TRUE(config) << config.error().text;
    return config.value_or(Config{});
  }
  // With the folder's name taken out.
  std::string error() {
    const auto config = load();
    std::string text = config ? "" : config.error().text;
    const std::string prefix = folder_.path().string() + "/";
    for (size_t at; (at = text.find(prefix)) != std::string::npos;) text.erase(at, prefix.size());
    return text;
  }

  testing::TempDir folder_;
  ConfigSources sources_;
  std::vector<std::pair<std::string, std::string>> environment_;
  std::string text_, printed_;
};

TEST_F(ConfigReaderTest, HasADefaultForEverything) {
  const Config config = good();
  EXPECT_EQ(config.submit, "ipc:///run/submit");
  EXPECT_EQ(config.lease, 10s);
  EXPECT_EQ(config.compute, Compute::kF32);
}

TEST_F(ConfigReaderTest, TakesEverySortOfValueFromAFile) {
  text_ = R"([broker]
submit = "tcp://127.0.0.1:5"
lease_ms = 500
ttl_s = 60
pause = "2min"
journal_bytes = "2GiB"
attempts_max = 5
[worker]
share = 1
verbose = true
tasks = ["a", "b"]
models = "my/models"
compute = "q8"
)";
  const Config config = good();
  EXPECT_EQ(config.submit, "tcp://127.0.0.1:5");
  EXPECT_EQ(config.lease, 500ms);
  EXPECT_EQ(config.ttl, 60s);
  EXPECT_EQ(config.pause, 2min);
  EXPECT_EQ(config.journal_bytes, 2ull << 30);
  EXPECT_EQ(config.attempts_max, 5u);
  EXPECT_EQ(config.share, 1.0);
  EXPECT_TRUE(config.verbose);
  EXPECT_THAT(config.tasks, ElementsAre("a", "b"));
  EXPECT_EQ(config.models, folder_ / "my/models") << "relative to the file";
  EXPECT_EQ(config.compute, Compute::kQ8);
}

TEST_F(ConfigReaderTest, TakesTheCommandLineOverTheEnvironmentOverTheFile) {
  text_ = "[broker]\nlease_ms = 1000\nattempts_max = 4\npause = 4\n";
  environment_ = {{"TANDEM_BROKER_LEASE_MS", "2s"}, {"TANDEM_BROKER_ATTEMPTS_MAX", "5"}};
  sources_.sets = {"broker.lease_ms=3000"};
  const Config config = good();
  EXPECT_EQ(config.lease, 3s);
  EXPECT_EQ(config.attempts_max, 5u);
  EXPECT_EQ(config.pause, 4ms);
}

TEST_F(ConfigReaderTest, TakesEverySortOfValueFromTheCommandLine) {
  sources_.sets = {"broker.submit=ipc://x=y", "broker.lease_ms=5s",      "broker.journal_bytes=8MiB",
                   "broker.attempts_max=7",   "worker.share=0.25",       "worker.verbose=true",
                   "worker.tasks=a,b",        "worker.models=elsewhere", "worker.compute=q8"};
  Config config = good();
  EXPECT_EQ(config.submit, "ipc://x=y");
  EXPECT_EQ(config.lease, 5s);
  EXPECT_EQ(config.journal_bytes, 8ull << 20);
  EXPECT_EQ(config.attempts_max, 7u);
  EXPECT_EQ(config.share, 0.25);
  EXPECT_TRUE(config.verbose);
  EXPECT_THAT(config.tasks, ElementsAre("a", "b"));
  EXPECT_EQ(config.models, "elsewhere") << "relative to the working folder";
  EXPECT_EQ(config.compute, Compute::kQ8);
  sources_.sets = {"worker.tasks=[\"a,b\"]"};
  EXPECT_THAT(good().tasks, ElementsAre("a,b"));
}

TEST_F(ConfigReaderTest, ReportsAllMistakesAtOnce) {
  text_ = R"([broker]
submit = 5
lease_ms = -1
leese_ms = 5
ttl_s = "soon"
journal_bytes = 10
[worker]
share = 1.5
compute = "f16"
[workr]
a = 1
)";
  environment_ = {
      {"TANDEM_BROKER_ATTEMPTS_MAX", "many"}, {"TANDEM_BROKER_PAUSES", "1"}, {"TANDEM_ELSE", "x"}};
  sources_.sets = {"worker.verbose=perhaps", "worker.task=a"};
  EXPECT_EQ(
      error(),
      "broker.toml:2: broker.submit: expected a text in quotes, found 5\n"
      "broker.toml:3: broker.lease_ms: expected a duration such as 250ms, 5s, 2min or 1h (100ms to 1h), "
      "found -1\n"
      "broker.toml:4: unknown key 'broker.leese_ms', did you mean 'lease_ms'?\n"
      "broker.toml:5: broker.ttl_s: expected a duration such as 250ms, 5s, 2min or 1h (at least 1s), "
      "found the text 'soon'\n"
      "broker.toml:6: broker.journal_bytes: expected a size such as 4096, 64MiB or 2GiB (at least 1MiB), "
      "found 10\n"
      "broker.toml:8: worker.share: expected a number (0.0 to 1.0), found 1.5\n"
      "broker.toml:9: worker.compute: expected one of f32, q8, found the text 'f16'\n"
      "broker.toml:10: unknown section 'workr', did you mean 'worker'?\n"
      "environment TANDEM_BROKER_ATTEMPTS_MAX: expected a whole number (1 to 100), found the text 'many'\n"
      "--set worker.verbose: expected true or false, found the text 'perhaps'\n"
      "--set worker.task: unknown key, did you mean 'worker.tasks'?\n"
      "environment TANDEM_BROKER_PAUSES: unknown key, did you mean 'TANDEM_BROKER_PAUSE'?");
}

TEST_F(ConfigReaderTest, RefusesLimitsBelowZero) {
  for (const char* set : {"broker.attempts_max=-1", "broker.journal_bytes=-5", "broker.lease_ms=-5s",
                          "broker.pause=-1", "worker.share=-0.1"}) {
    sources_.sets = {set};
    EXPECT_THAT(error(), HasSubstr("expected")) << set;
  }
}

TEST_F(ConfigReaderTest, RefusesNumbersThatOverflow) {
  for (const char* set : {"broker.attempts_max=4294967297", "broker.attempts_max=99999999999999999999",
                          "broker.journal_bytes=99999999TiB", "broker.pause=99999999999999999d"}) {
    sources_.sets = {set};
    EXPECT_THAT(error(), HasSubstr("expected")) << set;
  }
}

TEST_F(ConfigReaderTest, RefusesASectionThatIsAValue) {
  text_ = "broker = 5\n";
  EXPECT_EQ(error(), "broker.toml:1: broker: expected a section, found 5");
}

TEST_F(ConfigReaderTest, RefusesASetWithoutAKey) {
  for (const char* set : {"broker.lease_ms", "=5", ""}) {
    sources_.sets = {set};
    EXPECT_THAT(error(), HasSubstr("--set: expected section.key=value")) << set;
  }
}

TEST_F(ConfigReaderTest, NamesAFileThatIsMissing) {
  sources_.file = folder_ / "none.toml";
  EXPECT_THAT(error(), HasSubstr("none.toml: cannot open"));
}

// What --print-config says can be used as the config file.
TEST_F(ConfigReaderTest, PrintsItselfAsAFileThatMeansTheSame) {
  sources_.sets = {"broker.submit=quote \" and \\ and \n",
                   "broker.lease_ms=1234",
                   "broker.ttl_s=2min",
                   "worker.tasks=a,b",
                   "worker.compute=q8",
                   "worker.share=0.1"};
  good();
  const std::string first = printed_;
  EXPECT_THAT(first,
              HasSubstr("[broker]\n# where clients send jobs; default \"ipc:///run/submit\"\nsubmit = "));
  EXPECT_THAT(first,
              HasSubstr("# how long a worker may be silent (100ms to 1h); default 10000\nlease_ms = 1234\n"));
  EXPECT_THAT(first, HasSubstr("ttl_s = 120\n"));
  EXPECT_THAT(first, HasSubstr("# upper limit of the journal (at least 1MiB)\njournal_bytes = \"64MiB\"\n"));
  EXPECT_THAT(first, HasSubstr("\n[worker]\n"));

  sources_.sets.clear();
  text_ = first;
  const Config config = good();
  EXPECT_EQ(config.submit, "quote \" and \\ and \n");
  EXPECT_EQ(config.lease, 1234ms);
  EXPECT_EQ(config.share, 0.1);
  EXPECT_THAT(config.tasks, ElementsAre("a", "b"));
}

TEST(Units, AreReadAndWritten) {
  for (const auto& [text, time] : std::vector<std::pair<std::string, milliseconds>>{
           {"0ms", 0ms}, {"250ms", 250ms}, {"5s", 5s}, {"2min", 2min}, {"1h", 1h}, {"3d", 72h}}) {
    EXPECT_EQ(parse_duration(text), time);
    EXPECT_EQ(format_duration(time), text);
  }
  EXPECT_EQ(parse_duration("90 s"), 90s);
  for (const char* bad : {"", "5", "s", "-5s", "5 parsecs", "1.5s", "5s5", " 5s"})
    EXPECT_FALSE(parse_duration(bad)) << bad;
  for (const auto& [text, n_bytes] : std::vector<std::pair<std::string, uint64_t>>{{"0B", 0},
                                                                                   {"1000B", 1000},
                                                                                   {"4KiB", 4096},
                                                                                   {"64MiB", 64ull << 20},
                                                                                   {"2GiB", 2ull << 30},
                                                                                   {"1TiB", 1ull << 40}}) {
    EXPECT_EQ(parse_bytes(text), n_bytes);
    EXPECT_EQ(format_bytes(n_bytes), text);
  }
  EXPECT_EQ(parse_bytes("5MB"), 5'000'000u);
  EXPECT_EQ(parse_bytes("17"), 17u);
  for (const char* bad : {"", "MiB", "-5", "5 apples", "1.5GiB", "99999999999999999999"})
    EXPECT_FALSE(parse_bytes(bad)) << bad;
}

}  // namespace
}  // namespace tandem
