// What an Environment, its transactions and its tables share. Inside shared/store only.

#pragma once

#include <lmdb.h>

#include <atomic>
#include <filesystem>
#include <optional>
#include <utility>

#include "shared/base/file_lock.h"

namespace tandem {

struct EnvironmentState {
  std::filesystem::path folder;
  std::optional<FileLock> lock;
  std::optional<std::pair<dev_t, ino_t>> registered;  // in the list of stores open in this process
  MDB_env* env = nullptr;
  std::atomic<int> n_transactions{0};

  EnvironmentState() = default;
  EnvironmentState(const EnvironmentState&) = delete;
  EnvironmentState& operator=(const EnvironmentState&) = delete;
  ~EnvironmentState();
};

}  // namespace tandem
