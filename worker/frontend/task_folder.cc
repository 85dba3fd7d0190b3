#include "worker/frontend/task_folder.h"

#include <algorithm>
#include <system_error>

namespace tandem {

Result<TaskFolder> TaskFolder::open(const std::filesystem::path& folder) {
  TaskFolder tasks;
  tasks.folder_ = folder;
  tasks.stamps_ = tasks.look();  // before loading: what changes in between is loaded again
  TANDEM_ASSIGN(tasks.book_, TaskBook::load(folder));
  return tasks;
}

Result<bool> TaskFolder::refresh(TimePoint now) {
  if (now - looked_ < std::chrono::seconds(1)) return false;
  looked_ = now;
  std::vector<Stamp> stamps = look();
  if (stamps == stamps_) return false;
  stamps_ = std::move(stamps);
  TANDEM_ASSIGN(book_, TaskBook::load(folder_));
  return true;
}

std::vector<TaskFolder::Stamp> TaskFolder::look() const {
  std::vector<Stamp> stamps;
  std::error_code error;
  for (auto file = std::filesystem::directory_iterator(folder_, error);
       !error && file != std::filesystem::directory_iterator(); file.increment(error)) {
    if (file->path().extension() != ".toml") continue;
    std::error_code gone;  // a file may vanish between listing and asking; the next look sees it
    const auto written = file->last_write_time(gone);
    const auto n_bytes = file->file_size(gone);
    stamps.emplace_back(file->path().filename().string(), written, n_bytes);
  }
  std::sort(stamps.begin(), stamps.end());
  return stamps;
}

}  // namespace tandem
