#include "shared/metrics/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace tandem {
namespace {

// When this was loaded, which is near enough.
const double start_seconds = static_cast<double>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                                     std::chrono::system_clock::now().time_since_epoch())
                                                     .count()) /
                             1000;

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t n_all = 0, n_resident = 0;
  file >> n_all >> n_resident;
  return static_cast<double>(n_resident) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

double open_files() {
  std::error_code error;
  std::filesystem::directory_iterator files("/proc/self/fd", error);
  return error ? 0 : static_cast<double>(std::distance(begin(files), end(files)));
}

}  // namespace

void add_process_metrics(MetricPage& page) {
  page.gauge("tandem_build_info", "Always 1; the version is in the label.", 1, {{"version", TANDEM_VERSION}});
  page.gauge("process_start_time_seconds", "When the process started, in seconds since 1970.", start_seconds);
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  page.counter("process_cpu_seconds_total", "Processor time, of the user and of the system.",
               seconds(used.ru_utime) + seconds(used.ru_stime));
  page.gauge("process_resident_memory_bytes", "Memory in use; maps of files count as far as they were read.",
             resident_bytes());
  page.gauge("process_open_fds", "Open files and connections.", open_files());
}

void add_snapshot_age(MetricPage& page, Duration age) {
  page.gauge("tandem_snapshot_age_seconds",
             "How old these figures are; more than a second or two: the program does not get to answer.",
             static_cast<double>(to_us(age)) / 1e6);
}

}  // namespace tandem
