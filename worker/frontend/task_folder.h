// The task files as they are now: a new or changed file is in use within a second, without a restart.

#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/result.h"
#include "worker/tasks/task.h"

namespace tandem {

// Belongs to one thread.
class TaskFolder {
 public:
  // As TaskBook::load: at start, broken files are an error.
  static Result<TaskFolder> open(const std::filesystem::path& folder);

  const std::shared_ptr<const TaskBook>& book() const { return book_; }

  // Looks, at most once a second, whether a file is new, changed or gone, and then loads all of them again.
  // True: book() is a new one. An error says what is wrong with the edit; the old book stays in use until
  // the files change again.
  Result<bool> refresh(TimePoint now);

 private:
  using Stamp = std::tuple<std::string, std::filesystem::file_time_type, uintmax_t>;  // name, written, bytes

  std::vector<Stamp> look() const;

  std::filesystem::path folder_;
  std::shared_ptr<const TaskBook> book_;
  std::vector<Stamp> stamps_;
  TimePoint looked_{};
};

}  // namespace tandem
