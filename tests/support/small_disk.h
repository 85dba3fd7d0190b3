// A full disk without filling one.

#pragma once

#include <string>
#include <vector>

#include "tests/support/process.h"

namespace tandem::testing {

// The command line `arguments`, run where `folder` is a file system of its own, of `size` ("256k"; further
// mount options may follow, "64k,ro"), in a mount namespace that ends with the program. `arguments[0]` is
// looked up in bin_dir().
inline std::vector<std::string> on_small_disk(const std::string& folder, const std::string& size,
                                              const std::vector<std::string>& arguments) {
  std::vector<std::string> wrapped = {
      "/usr/bin/unshare",
      "--user",
      "--map-root-user",
      "--mount",
      "/bin/sh",
      "-c",
      "mkdir -p \"$0\" && mount -t tmpfs -o size=" + size + " tmpfs \"$0\" && exec \"$@\"",
      folder};
  wrapped.insert(wrapped.end(), arguments.begin(), arguments.end());
  wrapped[8] = (bin_dir() / arguments[0]).string();
  return wrapped;
}

}  // namespace tandem::testing
