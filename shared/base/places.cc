#include "shared/base/places.h"

#include <unistd.h>

#include <cstdlib>

namespace tandem {
namespace {

std::filesystem::path from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::filesystem::path under_home(const char* variable, const char* below_home) {
  if (const auto base = from_environment(variable); base.is_absolute()) return base / "tandem";
  if (const auto home = from_environment("HOME"); home.is_absolute()) return home / below_home / "tandem";
  return run_dir();
}

}  // namespace

std::filesystem::path run_dir() {
  if (const auto chosen = from_environment("TANDEM_RUN_DIR"); !chosen.empty()) return chosen;
  if (const auto base = from_environment("XDG_RUNTIME_DIR"); base.is_absolute()) return base / "tandem";
  return "/tmp/tandem-" + std::to_string(::getuid());
}

std::filesystem::path state_dir() {
  return under_home("XDG_STATE_HOME", ".local/state");
}
std::filesystem::path cache_dir() {
  return under_home("XDG_CACHE_HOME", ".cache");
}

std::string default_endpoint(const std::string& name) {
  return "ipc://" + (run_dir() / name).string();
}

}  // namespace tandem
