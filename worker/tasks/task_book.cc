#include <algorithm>
#include <set>

#include "shared/base/file.h"
#include "shared/base/hash.h"
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

// ---- what tasks say of each other ------------------------------------------------------------------------

using Tasks = std::map<std::string, Task>;

// How `name` comes to `home` by the tasks that its long texts go to: "b -> c -> a"; "" when it does not.
std::string way_back(const Tasks& tasks, const std::string& home, const std::string& name,
                     std::set<std::string>& seen) {
  if (name == home) return name;
  const auto found = tasks.find(name);
  if (found == tasks.end() || !found->second.split || !seen.insert(name).second) return "";
  for (const std::string& next : {found->second.split->map, found->second.split->reduce}) {
    if (next == name) continue;  // asks itself, which goes one step
    if (const std::string way = way_back(tasks, home, next, seen); !way.empty()) return name + " -> " + way;
  }
  return "";
}

// What is wrong with task `name` as a part (`key`: map or reduce) of how `task` splits; "" when nothing is.
std::string wrong_part(const Tasks& tasks, const Task& task, const std::string& key,
                       const std::string& name) {
  if (name == task.name) return "";
  const auto found = tasks.find(name);
  if (found == tasks.end()) {
    std::vector<std::string> names;
    for (const auto& [known, other] : tasks) names.push_back(known);
    const std::string meant = closest_word(name, names);
    return "expected a task, found '" + name + "'" + (meant.empty() ? "" : ", did you mean '" + meant + "'?");
  }
  const Task& part = found->second;
  std::set<std::string> seen;
  if (const std::string way = way_back(tasks, task.name, name, seen); !way.empty())
    return "expected no circle of tasks, found " + task.name + " -> " + way;
  if (part.history_turns_max > 0)
    return "expected a task without history (prompt.history_turns_max), found '" + name + "'";
  if (key == "reduce" && part.answer != task.answer) {
    return std::string("expected a task that answers with ") +
           (task.answer == AnswerKind::kText ? "text" : "a label") + " as this one, found '" + name + "'";
  }
  for (const auto& [variable, settings] : part.variables) {
    if (settings.default_value || task.variables.contains(variable)) continue;
    return "expected a task that needs no variable '" + variable + "', which this one has not, found '" +
           name + "'";
  }
  return "";
}

std::string split_fingerprint(const Tasks& tasks, const Task& task) {
  const Split& split = *task.split;
  HashBuilder hash;
  hash.add("tandem split 1").add(task.fingerprint).add(tasks.at(split.map).fingerprint);
  hash.add(split.reduce.empty() ? "mean" : tasks.at(split.reduce).fingerprint);
  hash.add(uint64_t{split.chars_max}).add(uint64_t{split.tokens_max}).add(uint64_t{split.overlap_chars});
  return hash.finish().to_hex();
}

// The mistakes, one a line; the fingerprints when there are none.
std::string join_tasks(Tasks& tasks) {
  std::string mistakes;
  for (auto& [name, task] : tasks) {
    if (!task.split) continue;
    bool good = true;
    for (const auto& [key, part] :
         {std::pair("map", task.split->map), std::pair("reduce", task.split->reduce)}) {
      if (part.empty()) continue;
      const std::string wrong = wrong_part(tasks, task, key, part);
      if (wrong.empty()) continue;
      mistakes += (mistakes.empty() ? "" : "\n") + task.split->place + ": split." + key + ": " + wrong;
      good = false;
    }
    if (good) task.split->fingerprint = split_fingerprint(tasks, task);
  }
  return mistakes;
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
  if (mistakes.empty()) mistakes = join_tasks(book->tasks_);
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
