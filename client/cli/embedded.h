// A private broker and worker for the length of one command: the same programs, as children, on ipc://
// sockets in a folder of their own.

#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/file_lock.h"
#include "shared/base/result.h"

namespace tandem::cli {

struct EmbeddedOptions {
  std::string model;          // folder; "": the model that comes with Tandem
  std::string worker_config;  // file; "": none
  std::string cache;          // folder of the answer cache; "": the user's own
  bool use_cache = true;
  std::filesystem::path programs;  // where tandem-broker and tandem-worker are; empty: beside this program
  Duration patience = std::chrono::minutes(5);  // for the model to load
};

// The children die with this process, however it ends: the destructor stops them, and a parent that is killed
// takes them along (PR_SET_PDEATHSIG). The folder (sockets, journal, logs) goes with them; what a killed
// parent left behind is removed by the next command.
//
// Start it from the thread that lives longest (PDEATHSIG follows the thread), before ZeroMQ has threads.
class Embedded {
 public:
  // Returns when jobs can be submitted. `stop` is asked while waiting: kCancelled. A child that dies early is
  // kInternal, with the last lines of its log; kNotFound when the programs are not there.
  static Result<std::unique_ptr<Embedded>> start(const EmbeddedOptions& options,
                                                 const std::function<bool()>& stop);
  ~Embedded();
  Embedded(const Embedded&) = delete;
  Embedded& operator=(const Embedded&) = delete;

  const std::filesystem::path& folder() const { return folder_; }
  // kInternal when a child has died, with the last lines of its log.
  Result<void> alive();

 private:
  struct Child {
    std::string name;
    std::filesystem::path log;
    pid_t pid = -1;  // -1: not running
    int ready_fd = -1;
    int status = 0;  // of wait(), once it is not running
  };

  Embedded() = default;
  Result<void> make_folder();
  Result<void> spawn(Child& child, const std::filesystem::path& programs, std::vector<std::string> arguments);
  Result<void> wait_ready(Child& child, TimePoint until, const std::function<bool()>& stop);
  bool running(Child& child);
  Error obituary(const Child& child) const;
  void stop(Child& child, Duration grace);

  SystemClock clock_;
  std::filesystem::path folder_;
  std::optional<FileLock> lock_;  // held as long as the folder is in use
  Child broker_{.name = "tandem-broker", .log = {}};
  Child worker_{.name = "tandem-worker", .log = {}};
};

}  // namespace tandem::cli
