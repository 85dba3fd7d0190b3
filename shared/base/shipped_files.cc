#include "shared/base/shipped_files.h"

#include <cstdlib>
#include <system_error>

namespace tandem {

std::vector<std::filesystem::path> shipped_folders() {
  std::vector<std::filesystem::path> folders;
  const char* home = std::getenv("TANDEM_HOME");
  if (home != nullptr && *home != 0) folders.emplace_back(home);

  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) {
    folders.push_back((program.parent_path() / "../../../configs").lexically_normal());
    folders.push_back((program.parent_path() / "../share/tandem").lexically_normal());
  }
  folders.emplace_back("configs");
  return folders;
}

Result<std::filesystem::path> shipped_file(const std::string& name) {
  std::string looked;
  for (const std::filesystem::path& folder : shipped_folders()) {
    std::error_code error;
    const std::filesystem::path path = std::filesystem::absolute(folder / name, error);
    if (!error && std::filesystem::exists(path, error)) return path;
    looked += (looked.empty() ? "" : ", ") + folder.string();
  }
  return fail(ErrorCode::kNotFound, "expected '" + name + "' in one of " + looked +
                                        "; found it in none (set TANDEM_HOME to the folder that has it)");
}

}  // namespace tandem
