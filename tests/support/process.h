// Real programs, started, watched and killed by tests.

#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tandem::testing {

// The folder of the binaries under test: that of the running test program.
std::filesystem::path bin_dir();

struct ProcessOptions {
  std::string input;                               // standard input, then end of file
  std::map<std::string, std::string> environment;  // added to the test's own
  std::filesystem::path output_dir;  // where out.N and err.N files go; "" : the system's temporary folder
};

// One child. Killed (SIGKILL) and waited for when the object goes. Its output goes to files, so that it can
// never block on a full pipe. One thread.
class Process {
 public:
  // `argv[0]` without a slash is looked up in bin_dir().
  explicit Process(std::vector<std::string> argv, const ProcessOptions& options = {});
  ~Process();
  Process(Process&& other) noexcept;
  Process& operator=(Process&&) = delete;

  pid_t pid() const { return pid_; }
  void kill(int signal);
  // The exit status: 0..255, or 128 + signal. Empty when it still runs after `at_most`.
  std::optional<int> wait(std::chrono::milliseconds at_most = std::chrono::seconds(60));
  bool running();

  // What it has written up to now.
  std::string out() const;
  std::string err() const;
  // Until standard output holds `text`; false when the process ended or the time is over first.
  bool wait_for_output(const std::string& text, std::chrono::milliseconds at_most = std::chrono::seconds(30));

 private:
  pid_t pid_ = -1;
  std::optional<int> status_;
  std::filesystem::path out_path_, err_path_, in_path_;
};

// Runs to the end.
struct RunResult {
  int status = -1;  // -1: did not end in time
  std::string out, err;
};
RunResult run_process(std::vector<std::string> argv, const ProcessOptions& options = {},
                      std::chrono::milliseconds at_most = std::chrono::seconds(120));

}  // namespace tandem::testing
