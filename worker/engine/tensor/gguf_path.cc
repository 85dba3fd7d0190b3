#include <algorithm>

#include "worker/engine/tensor/gguf.h"

namespace tandem::engine {

Result<std::optional<std::filesystem::path>> gguf_file_of(const std::filesystem::path& path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    return path.extension() == ".gguf" ? std::optional(path) : std::nullopt;
  }
  if (fs::exists(path / "model.safetensors", ignored) ||
      fs::exists(path / "model.safetensors.index.json", ignored)) {
    return std::nullopt;
  }
  std::vector<fs::path> found;
  for (fs::directory_iterator at(path, ignored), end; at != end; at.increment(ignored)) {
    if (at->path().extension() == ".gguf") found.push_back(at->path());
  }
  if (found.empty()) return std::nullopt;
  if (found.size() == 1) return found.front();
  std::sort(found.begin(), found.end());
  return fail(ErrorCode::kInvalid, path.string() + ": expected one .gguf file, found " +
                                       std::to_string(found.size()) + ": " + found[0].filename().string() +
                                       ", " + found[1].filename().string() + " (give the path of one)");
}

}  // namespace tandem::engine
