// What an Environment, its transactions and its tables share. Inside shared/store only.

#pragma once

#include <lmdb.h>

#include <atomic>
#include <filesystem>
#include <optional>
#include <utility>

#include "shared/base/file_lock.h"

namespace tandem {

inline constexpr const char* kDataFile = "data.mdb";
// Held in common by those who only read, and alone by who exchanges the files.
inline constexpr const char* kReadersLockFile = "tandem.readers";

struct EnvironmentState {
  std::filesystem::path folder;
  std::optional<FileLock> lock;
  std::optional<std::pair<dev_t, ino_t>> registered;  // in the list of stores open in this process
  MDB_env* env = nullptr;
  bool read_only = false;
  std::atomic<int> n_transactions{0};

  EnvironmentState() = default;
  EnvironmentState(const EnvironmentState&) = delete;
  EnvironmentState& operator=(const EnvironmentState&) = delete;
  ~EnvironmentState();
};

}  // namespace tandem
