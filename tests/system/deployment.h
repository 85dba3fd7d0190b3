// A broker, workers and the command line as real programs, on sockets and folders of one test.

#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace tandem::testing {

// The random-weight model of the tests: quick, and deterministic where a task is greedy.
inline const std::string kTinyModel = "data/golden/models/qwen2-tiny-f32";
// The model that comes with Tandem; relative to tests/.
inline const std::string kDemoModel = "../configs/models/tandem-demo";

// One run folder: sockets, journal, cache and task files of this test alone. Everything started here dies
// with it.
class Deployment {
 public:
  Deployment();

  // Starts a program and waits for its "ready" line; a program that does not become ready fails the test with
  // its log. `settings` are --set values.
  Process start_broker(std::vector<std::string> settings = {});
  Process start_worker(const std::string& name, const std::string& model = kTinyModel,
                       std::vector<std::string> settings = {});
  // The arguments only, for programs that are expected to fail.
  std::vector<std::string> broker_arguments(std::vector<std::string> settings = {}) const;
  std::vector<std::string> worker_arguments(const std::string& name, const std::string& model,
                                            std::vector<std::string> settings = {}) const;

  // tandem VERB..., with the broker of this deployment known and nothing of the user's own settings.
  RunResult tandem(std::vector<std::string> arguments, const std::string& input = "");
  Process start_tandem(std::vector<std::string> arguments, const std::string& input = "");
  // The same without a broker: verbs that can bring their own do.
  RunResult tandem_alone(std::vector<std::string> arguments, const std::string& input = "");

  // Writes a file of this deployment and returns its path.
  std::string write(const std::string& name, const std::string& content) const;
  std::string read(const std::string& name) const;
  std::string path(const std::string& name) const { return (dir_ / name).string(); }
  const std::filesystem::path& folder() const { return dir_.path(); }

 private:
  std::map<std::string, std::string> environment(bool with_broker) const;
  Process start(std::vector<std::string> arguments);

  TempDir dir_;
};

// One JSON value a line.
std::vector<nlohmann::json> rows_of(const std::string& text);

}  // namespace tandem::testing
