#include "client/cli/embedded.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "shared/base/file.h"
#include "shared/base/utf8.h"

extern char** environ;

namespace tandem::cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

constexpr int kReadyFd = 3;  // the number of the descriptor in the child
constexpr Duration kGrace = seconds(5);
constexpr size_t kLogLines = 6;
constexpr size_t kFolderPathMax = 70;  // what a socket's path (107 bytes) leaves for the folder

tl::unexpected<Error> fail_errno(const std::string& what) {
  return fail(ErrorCode::kIo, what + ": " + std::strerror(errno));
}

std::string folder_prefix() {
  return "tandem-run-" + std::to_string(::getuid()) + "-";
}

fs::path temporary() {
  const char* given = std::getenv("TMPDIR");
  if (given != nullptr && *given == '/' && std::strlen(given) < kFolderPathMax) return given;
  return "/tmp";
}

// Folders whose owner was killed: nobody holds their lock. Young ones may not have taken it yet.
void sweep_left_behind() {
  std::error_code error;
  const std::string prefix = folder_prefix();
  for (const auto& entry : fs::directory_iterator(temporary(), error)) {
    if (!entry.path().filename().string().starts_with(prefix)) continue;
    struct stat info {};
    if (::lstat(entry.path().c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != ::getuid())
      continue;
    if (info.st_mtime + 60 > ::time(nullptr)) continue;
    if (auto lock = FileLock::acquire(entry.path() / "lock")) fs::remove_all(entry.path(), error);
  }
}

fs::path own_folder() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).parent_path();
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return "was killed by signal " + std::to_string(WTERMSIG(status));
  return "ended with exit code " + std::to_string(WEXITSTATUS(status));
}

std::string last_lines(const fs::path& log) {
  auto content = read_file(log, 64u << 20);
  if (!content) return {};
  std::string_view text = *content;
  while (text.ends_with('\n')) text.remove_suffix(1);
  size_t begin = text.size();
  for (size_t n = 0; n < kLogLines && begin != std::string_view::npos && begin > 0; ++n) {
    begin = text.rfind('\n', begin - 1);
  }
  return utf8_lossy(begin == std::string_view::npos || begin == 0 ? text : text.substr(begin + 1));
}

}  // namespace

Result<std::unique_ptr<Embedded>> Embedded::start(const EmbeddedOptions& options,
                                                  const std::function<bool()>& stop) {
  sweep_left_behind();
  const fs::path programs = options.programs.empty() ? own_folder() : options.programs;
  for (const char* name : {"tandem-broker", "tandem-worker"}) {
    if (::access((programs / name).c_str(), X_OK) == 0) continue;
    return fail(ErrorCode::kNotFound,
                "expected the program " + (programs / name).string() +
                    ", found none; it is needed when no broker is configured (--broker)");
  }
  if (std::error_code error; !options.model.empty() && !fs::exists(options.model, error)) {
    return fail(ErrorCode::kInvalid,
                "--model: expected a model folder or a .gguf file, found none at " + options.model);
  }
  std::unique_ptr<Embedded> embedded(new Embedded());
  TANDEM_TRY(embedded->make_folder());

  // Said on the command line, which has the last word over settings in the user's environment.
  const auto endpoint = [&](const std::string& name) {
    return "ipc://" + (embedded->folder_ / name).string();
  };
  TANDEM_TRY(embedded->spawn(embedded->broker_, programs,
                             {"--set", "broker.submit=" + endpoint("submit"),  //
                              "--set", "broker.work=" + endpoint("work"),      //
                              "--set", "broker.results_in=" + endpoint("results-in"), "--set",
                              "broker.results_out=" + endpoint("results-out"), "--set",
                              "journal.folder=" + (embedded->folder_ / "journal").string()}));
  std::vector<std::string> arguments;
  if (!options.worker_config.empty()) arguments = {"--config", options.worker_config};
  arguments.insert(arguments.end(), {"--work", endpoint("work"), "--results", endpoint("results-in")});
  // When the worker is stopped, nobody waits for its jobs any more.
  arguments.insert(arguments.end(), {"--set", "worker.drain=0ms"});
  if (!options.model.empty()) arguments.insert(arguments.end(), {"--model", options.model});
  if (!options.cache.empty()) {
    arguments.insert(arguments.end(), {"--set", "cache.folder=" + fs::absolute(options.cache).string()});
  }
  if (!options.use_cache) arguments.insert(arguments.end(), {"--set", "cache.enabled=false"});
  TANDEM_TRY(embedded->spawn(embedded->worker_, programs, std::move(arguments)));

  const TimePoint until = embedded->clock_.now() + options.patience;
  TANDEM_TRY(embedded->wait_ready(embedded->broker_, until, stop));
  TANDEM_TRY(embedded->wait_ready(embedded->worker_, until, stop));
  return embedded;
}

Embedded::~Embedded() {
  stop(worker_, kGrace);
  stop(broker_, kGrace);
  for (Child* child : {&worker_, &broker_}) {
    if (child->ready_fd >= 0) ::close(child->ready_fd);
  }
  std::error_code ignored;
  if (!folder_.empty()) fs::remove_all(folder_, ignored);
}

Result<void> Embedded::make_folder() {
  std::string name = (temporary() / (folder_prefix() + "XXXXXX")).string();
  if (::mkdtemp(name.data()) == nullptr) return fail_errno("cannot make the folder " + name);
  folder_ = name;
  TANDEM_ASSIGN(lock_, FileLock::acquire(folder_ / "lock"));
  return {};
}

Result<void> Embedded::spawn(Child& child, const fs::path& programs, std::vector<std::string> arguments) {
  const std::string program = (programs / child.name).string();
  child.log = folder_ / (child.name + ".log");
  arguments.insert(arguments.begin(), program);
  arguments.insert(arguments.end(), {"--ready-fd", std::to_string(kReadyFd)});

  // Everything the child needs is made before fork(): after it only system calls are safe.
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  // Sockets go where this says (shared/base/places.h), in both children.
  std::string run_dir = "TANDEM_RUN_DIR=" + folder_.string();
  std::vector<char*> envp;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, "TANDEM_RUN_DIR=", 15) != 0) envp.push_back(*entry);
  }
  envp.push_back(run_dir.data());
  envp.push_back(nullptr);

  const int log = ::open(child.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0) return fail_errno("cannot make " + child.log.string());
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  int ready[2];
  if (nothing < 0 || ::pipe2(ready, O_CLOEXEC) != 0) {
    auto failure = fail_errno("cannot open a pipe");
    ::close(log);
    if (nothing >= 0) ::close(nothing);
    return failure;
  }

  const pid_t parent = ::getpid();
  child.pid = ::fork();
  if (child.pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);  // it died before the line above
    ::setpgid(0, 0);                          // Ctrl-C is for the parent, which stops its children in order
    ::signal(SIGPIPE, SIG_DFL);
    ::dup2(nothing, STDIN_FILENO);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    if (ready[1] == kReadyFd) {
      ::fcntl(kReadyFd, F_SETFD, 0);
    } else {
      ::dup2(ready[1], kReadyFd);
    }
    ::execve(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  const int error = errno;
  ::close(log);
  ::close(nothing);
  ::close(ready[1]);
  child.ready_fd = ready[0];
  errno = error;
  if (child.pid < 0) return fail_errno("cannot start " + program);
  return {};
}

Result<void> Embedded::wait_ready(Child& child, TimePoint until, const std::function<bool()>& stop) {
  for (;;) {
    if (stop()) return fail(ErrorCode::kCancelled, "interrupted");
    TANDEM_TRY(alive());
    if (clock_.now() >= until) {
      return fail(ErrorCode::kInternal,
                  child.name + " was not ready in time; its log ends with:\n" + last_lines(child.log));
    }
    pollfd ready{child.ready_fd, POLLIN, 0};
    if (::poll(&ready, 1, 100) <= 0) continue;
    char byte = 0;
    if (::read(child.ready_fd, &byte, 1) == 1) return {};
    // The pipe is closed without a word: the child is about to end, and alive() will say so.
    std::this_thread::sleep_for(milliseconds(10));
  }
}

Result<void> Embedded::alive() {
  for (Child* child : {&broker_, &worker_}) {
    if (!running(*child)) return fail(obituary(*child));
  }
  return {};
}

bool Embedded::running(Child& child) {
  if (child.pid < 0) return false;
  if (::waitpid(child.pid, &child.status, WNOHANG) != child.pid) return true;
  child.pid = -1;
  return false;
}

Error Embedded::obituary(const Child& child) const {
  const std::string lines = last_lines(child.log);
  return {ErrorCode::kInternal, child.name + " " + how_it_ended(child.status) +
                                    (lines.empty() ? " and said nothing" : "; its log ends with:\n" + lines)};
}

void Embedded::stop(Child& child, Duration grace) {
  if (!running(child)) return;
  ::kill(child.pid, SIGTERM);
  const TimePoint until = clock_.now() + grace;
  while (running(child)) {
    if (clock_.now() >= until) ::kill(child.pid, SIGKILL);
    std::this_thread::sleep_for(milliseconds(2));
  }
}

}  // namespace tandem::cli
