// A folder of a test's own, removed with everything in it when the test ends.

#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "shared/base/assert.h"

namespace tandem::testing {

class TempDir {
 public:
  // Short on purpose: ipc:// paths below it must fit 107 bytes.
  TempDir() {
    const char* base = ::getenv("TMPDIR");
    std::string name = std::string(base != nullptr && *base != 0 ? base : "/tmp") + "/td-XXXXXX";
    TANDEM_ASSERT(::mkdtemp(name.data()) != nullptr, "tests can make a temporary folder");
    path_ = name;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace tandem::testing
