#include "tests/system/campaign/hosts.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "tests/support/process.h"

namespace tandem::testing {
namespace {

Result<void> unavailable(const std::string& what) {
  return fail(ErrorCode::kUnavailable, what + ": " + std::strerror(errno));
}

bool write_file(const char* path, std::string_view text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool good = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(fd);
  return good;
}

bool sh(const std::string& command) {
  return std::system((command + " 2>/dev/null").c_str()) == 0;
}

}  // namespace

Result<void> own_namespaces() {
  const uid_t uid = ::getuid();
  const gid_t gid = ::getgid();
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) != 0) return unavailable("namespaces");
  (void)write_file("/proc/self/setgroups", "deny");
  if (!write_file("/proc/self/uid_map", "0 " + std::to_string(uid) + " 1") ||
      !write_file("/proc/self/gid_map", "0 " + std::to_string(gid) + " 1")) {
    return unavailable("user namespace");
  }
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return unavailable("mounts");
  if (!sh("ip link set lo up")) return fail(ErrorCode::kUnavailable, "no iproute2, or no network of our own");
  return {};
}

Result<std::unique_ptr<SmallDisk>> SmallDisk::mount(const std::string& folder, size_t kib) {
  std::filesystem::create_directories(folder);
  const std::string size = "size=" + std::to_string(kib) + "k";
  if (::mount("tmpfs", folder.c_str(), "tmpfs", 0, size.c_str()) != 0) {
    return fail(ErrorCode::kUnavailable, std::string("tmpfs: ") + std::strerror(errno));
  }
  return std::unique_ptr<SmallDisk>(new SmallDisk(folder));
}

SmallDisk::~SmallDisk() {
  ::umount2(folder_.c_str(), MNT_DETACH);
}

Result<void> SmallDisk::resize(size_t kib) {
  const std::string size = "size=" + std::to_string(kib) + "k";
  if (::mount("tmpfs", folder_.c_str(), "tmpfs", MS_REMOUNT, size.c_str()) != 0) {
    return unavailable("tmpfs with " + size);
  }
  return {};
}

size_t SmallDisk::used_kib() const {
  struct statvfs info {};
  if (::statvfs(folder_.c_str(), &info) != 0) return 0;
  return (info.f_blocks - info.f_bfree) * info.f_frsize / 1024;
}

Result<std::unique_ptr<Host>> Host::start(int number) {
  int ready[2];
  if (::pipe(ready) != 0) return fail(ErrorCode::kUnavailable, "no pipe");
  const pid_t holder = ::fork();
  if (holder == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const bool good = ::unshare(CLONE_NEWNET) == 0 && sh("ip link set lo up");
    (void)!::write(ready[1], good ? "y" : "n", 1);
    ::close(ready[0]);
    ::close(ready[1]);
    while (good) ::pause();
    ::_exit(1);
  }
  ::close(ready[1]);
  char answer = 'n';
  (void)!::read(ready[0], &answer, 1);
  ::close(ready[0]);
  std::unique_ptr<Host> host(new Host(number, holder));
  const std::string cable = host->cable(), net = "10.77." + std::to_string(number) + ".";
  const std::string there = "nsenter --net=/proc/" + std::to_string(holder) + "/ns/net ip ";
  if (answer != 'y' ||
      !sh("ip link add " + cable + " type veth peer name eth0 netns " + std::to_string(holder)) ||
      !sh("ip addr add " + net + "1/24 dev " + cable) || !sh("ip link set " + cable + " up") ||
      !sh(there + "addr add " + net + "2/24 dev eth0") || !sh(there + "link set eth0 up")) {
    return fail(ErrorCode::kUnavailable, "a network namespace with a veth pair could not be made");
  }
  return host;
}

Host::~Host() {
  ::kill(holder_, SIGKILL);
  ::waitpid(holder_, nullptr, 0);
  sh("ip link del " + cable());
}

std::vector<std::string> Host::on_it(std::vector<std::string> arguments) const {
  if (arguments.at(0).find('/') == std::string::npos) arguments[0] = (bin_dir() / arguments[0]).string();
  arguments.insert(arguments.begin(),
                   {"/usr/bin/nsenter", "--net=/proc/" + std::to_string(holder_) + "/ns/net", "--"});
  return arguments;
}

std::string Host::our_address() const {
  return "10.77." + std::to_string(number_) + ".1";
}
std::string Host::cable() const {
  return "td-host" + std::to_string(number_);
}

void Host::cut() {
  sh("ip link set " + cable() + " down");
}

void Host::mend() {
  sh("tc qdisc del dev " + cable() + " root");
  sh("ip link set " + cable() + " up");
}

bool Host::disturb(int percent_lost, int delay_ms) {
  return sh("tc qdisc replace dev " + cable() + " root netem loss " + std::to_string(percent_lost) +
            "% delay " + std::to_string(delay_ms) + "ms");
}

}  // namespace tandem::testing
