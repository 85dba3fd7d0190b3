#include <algorithm>

#include "shared/base/file.h"
#include "shared/base/limits.h"
#include "shared/base/utf8.h"
#include "shared/config/toml.h"
#include "worker/tasks/task.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;

Result<std::vector<fs::path>> task_files(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    return fail(ErrorCode::kNotFound, folder.string() + ": expected a folder of task files, found none");
  }
  std::vector<fs::path> files;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().extension() == ".toml") files.push_back(entry->path());
  }
  if (error) return fail(ErrorCode::kIo, folder.string() + ": " + error.message());
  if (files.empty())
    return fail(ErrorCode::kInvalid, folder.string() + ": expected *.toml files, found none");
  if (files.size() > limits::kTasksPerWorkerMax) {
    return fail(ErrorCode::kInvalid, folder.string() + ": expected at most " +
                                         std::to_string(limits::kTasksPerWorkerMax) + " task files, found " +
                                         std::to_string(files.size()));
  }
  std::sort(files.begin(), files.end());  // mistakes come in the same order on every file system
  return files;
}

Result<Task> load_task(const fs::path& file) {
  TANDEM_ASSIGN(const std::string text, read_file(file, limits::kConfigBytesMax));
  return parse_task(text, file.stem().string(), file.string());
}

}  // namespace

Result<std::shared_ptr<const TaskBook>> TaskBook::load(const fs::path& folder) {
  TANDEM_ASSIGN(const std::vector<fs::path> files, task_files(folder));
  auto book = std::make_shared<TaskBook>();
  std::string mistakes;
  for (const fs::path& file : files) {
    auto task = load_task(file);
    if (!task) {
      mistakes += (mistakes.empty() ? "" : "\n") + task.error().text;
      continue;
    }
    std::string name = task->name;
    book->tasks_.emplace(std::move(name), std::move(*task));
  }
  if (!mistakes.empty()) return fail(ErrorCode::kInvalid, mistakes);
  return book;
}

Result<const Task*> TaskBook::find(const std::string& name) const {
  if (const auto found = tasks_.find(name); found != tasks_.end()) return &found->second;
  std::vector<std::string> names;
  std::string list;
  for (const auto& [known, task] : tasks_) {
    names.push_back(known);
    list += (list.empty() ? "" : ", ") + known;
  }
  const std::string meant = closest_word(name, names);
  return fail(ErrorCode::kNotFound, "expected one of the tasks " + list + "; found '" + utf8_lossy(name) +
                                        "'" + (meant.empty() ? "" : ", did you mean '" + meant + "'?"));
}

}  // namespace tandem
