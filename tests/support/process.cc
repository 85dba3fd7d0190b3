#include "tests/support/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

#include "shared/base/assert.h"

namespace tandem::testing {
namespace {

std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream content;
  content << file.rdbuf();
  return content.str();
}

int open_or_die(const std::filesystem::path& path, int flags) {
  const int fd = ::open(path.c_str(), flags, 0600);
  TANDEM_ASSERT(fd >= 0, "tests can write into their temporary folder");
  return fd;
}

}  // namespace

std::filesystem::path bin_dir() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

Process::Process(std::vector<std::string> argv, const ProcessOptions& options) {
  static std::atomic<int> counter{0};
  std::filesystem::path folder = options.output_dir;
  if (folder.empty()) folder = std::filesystem::temp_directory_path();
  const std::string suffix = std::to_string(::getpid()) + "." + std::to_string(counter++);
  out_path_ = folder / ("td-out." + suffix);
  err_path_ = folder / ("td-err." + suffix);
  in_path_ = folder / ("td-in." + suffix);
  std::ofstream(in_path_, std::ios::binary) << options.input;

  if (argv.at(0).find('/') == std::string::npos) argv[0] = (bin_dir() / argv[0]).string();
  std::vector<char*> pointers;
  for (std::string& argument : argv) pointers.push_back(argument.data());
  pointers.push_back(nullptr);

  const int in = open_or_die(in_path_, O_RDONLY);
  const int out = open_or_die(out_path_, O_WRONLY | O_CREAT | O_TRUNC);
  const int err = open_or_die(err_path_, O_WRONLY | O_CREAT | O_TRUNC);
  pid_ = ::fork();
  TANDEM_ASSERT(pid_ >= 0, "tests can start a process");
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that is killed takes its children along
    ::dup2(in, 0);
    ::dup2(out, 1);
    ::dup2(err, 2);
    for (int fd = 3; fd < 256; ++fd) ::close(fd);
    for (const auto& [name, value] : options.environment) ::setenv(name.c_str(), value.c_str(), 1);
    ::execv(pointers[0], pointers.data());
    std::fprintf(stderr, "cannot start %s\n", pointers[0]);
    ::_exit(127);
  }
  ::close(in);
  ::close(out);
  ::close(err);
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      status_(other.status_),
      out_path_(std::move(other.out_path_)),
      err_path_(std::move(other.err_path_)),
      in_path_(std::move(other.in_path_)) {}

Process::~Process() {
  if (pid_ < 0) return;
  if (!status_) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  for (const auto& path : {out_path_, err_path_, in_path_}) ::unlink(path.c_str());
}

void Process::kill(int signal) {
  if (running()) ::kill(pid_, signal);
}

std::optional<int> Process::wait(std::chrono::milliseconds at_most) {
  const auto until = std::chrono::steady_clock::now() + at_most;
  while (running()) {
    if (std::chrono::steady_clock::now() >= until) return std::nullopt;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return status_;
}

bool Process::running() {
  if (status_) return false;
  int status = 0;
  const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
  if (ended == 0 || (ended < 0 && errno == EINTR)) return true;
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return false;
}

std::string Process::out() const {
  return slurp(out_path_);
}
std::string Process::err() const {
  return slurp(err_path_);
}

bool Process::wait_for_output(const std::string& text, std::chrono::milliseconds at_most) {
  const auto until = std::chrono::steady_clock::now() + at_most;
  for (;;) {
    const bool alive = running();
    if (out().find(text) != std::string::npos) return true;
    if (!alive || std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

RunResult run_process(std::vector<std::string> argv, const ProcessOptions& options,
                      std::chrono::milliseconds at_most) {
  Process process(std::move(argv), options);
  const auto status = process.wait(at_most);
  return {status.value_or(-1), process.out(), process.err()};
}

}  // namespace tandem::testing
