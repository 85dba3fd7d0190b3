// Machines for tests, without machines: a network namespace is a host, a veth pair is its cable, a tmpfs is a
// small disk. Needs Linux that lets users make namespaces; where it does not, what needs them is skipped.

#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "shared/base/result.h"

namespace tandem::testing {

// Gives this process (before it has threads) mounts and a network of its own, with a loopback only.
// kUnavailable says why that cannot be.
Result<void> own_namespaces();

// A file system of `kib` KiB at `folder`, which is made; it may be given another size while it is used.
class SmallDisk {
 public:
  static Result<std::unique_ptr<SmallDisk>> mount(const std::string& folder, size_t kib);
  ~SmallDisk();
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  Result<void> resize(size_t kib);
  size_t used_kib() const;

 private:
  explicit SmallDisk(std::string folder) : folder_(std::move(folder)) {}
  std::string folder_;
};

// A host with one cable to us: we are 10.77.<number>.1 on it, it is 10.77.<number>.2.
class Host {
 public:
  static Result<std::unique_ptr<Host>> start(int number);
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // `arguments`, to be run there by the same process number.
  std::vector<std::string> on_it(std::vector<std::string> arguments) const;
  std::string our_address() const;

  void cut();  // the cable: nobody is told
  void mend();
  // Loses so many of a hundred packets and delays the rest; false where the kernel cannot.
  bool disturb(int percent_lost, int delay_ms);

 private:
  Host(int number, pid_t holder) : number_(number), holder_(holder) {}
  std::string cable() const;

  int number_;
  pid_t holder_;  // sleeps there, so that the namespace stays
};

}  // namespace tandem::testing
