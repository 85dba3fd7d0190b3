#include "tests/system/deployment.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace tandem::testing {
namespace {

void add_settings(std::vector<std::string>& arguments, const std::vector<std::string>& settings) {
  for (const std::string& setting : settings) {
    arguments.push_back("--set");
    arguments.push_back(setting);
  }
}

}  // namespace

Deployment::Deployment() {
  std::filesystem::create_directories(dir_ / "run");
  std::filesystem::create_directories(dir_ / "home");
}

std::map<std::string, std::string> Deployment::environment(bool with_broker) const {
  std::map<std::string, std::string> variables = {
      {"TANDEM_RUN_DIR", path("run")},          {"HOME", path("home")},
      {"XDG_CONFIG_HOME", path("home/config")}, {"XDG_CACHE_HOME", path("home/cache")},
      {"XDG_STATE_HOME", path("home/state")},   {"OPENBLAS_NUM_THREADS", "1"},
  };
  variables["TANDEM_BROKER"] = with_broker ? path("run") : "";
  return variables;
}

std::vector<std::string> Deployment::broker_arguments(std::vector<std::string> settings) const {
  std::vector<std::string> arguments = {"tandem-broker"};
  add_settings(arguments, {"journal.folder=" + path("journal")});
  add_settings(arguments, settings);
  return arguments;
}

std::vector<std::string> Deployment::worker_arguments(const std::string& name, const std::string& model,
                                                      std::vector<std::string> settings) const {
  std::vector<std::string> arguments = {"tandem-worker", "--model", model};
  add_settings(arguments, {"worker.name=" + name, "cache.folder=" + path("cache"), "engine.threads=1",
                           "engine.kv_bytes=64MiB"});
  add_settings(arguments, settings);
  return arguments;
}

Process Deployment::start(std::vector<std::string> arguments) {
  const std::string program = arguments.front();
  Process process(std::move(arguments),
                  {.input = "", .environment = environment(true), .output_dir = folder()});
  EXPECT_TRUE(process.wait_for_output("ready")) << program << " did not start: " << process.err();
  return process;
}

Process Deployment::start_broker(std::vector<std::string> settings) {
  return start(broker_arguments(std::move(settings)));
}

Process Deployment::start_worker(const std::string& name, const std::string& model,
                                 std::vector<std::string> settings) {
  return start(worker_arguments(name, model, std::move(settings)));
}

Process Deployment::start_tandem(std::vector<std::string> arguments, const std::string& input) {
  arguments.insert(arguments.begin(), "tandem");
  return Process(std::move(arguments),
                 {.input = input, .environment = environment(true), .output_dir = folder()});
}

RunResult Deployment::tandem(std::vector<std::string> arguments, const std::string& input) {
  arguments.insert(arguments.begin(), "tandem");
  return run_process(std::move(arguments),
                     {.input = input, .environment = environment(true), .output_dir = folder()});
}

RunResult Deployment::tandem_alone(std::vector<std::string> arguments, const std::string& input) {
  arguments.insert(arguments.begin(), "tandem");
  return run_process(std::move(arguments),
                     {.input = input, .environment = environment(false), .output_dir = folder()});
}

std::string Deployment::write(const std::string& name, const std::string& content) const {
  std::ofstream(dir_ / name, std::ios::binary) << content;
  return path(name);
}

std::string Deployment::read(const std::string& name) const {
  std::ifstream file(dir_ / name, std::ios::binary);
  std::stringstream content;
  content << file.rdbuf();
  return content.str();
}

std::vector<nlohmann::json> rows_of(const std::string& text) {
  std::vector<nlohmann::json> rows;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) rows.push_back(nlohmann::json::parse(line));
  return rows;
}

}  // namespace tandem::testing
