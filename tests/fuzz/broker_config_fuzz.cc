// Whatever is in broker.toml, the settings are read or every mistake has a text. What is printed can be read
// again.

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "broker/config.h"

namespace tandem::broker {
namespace {

void check(bool holds, const char* what, const std::string& why = "") {
  if (holds) return;
  std::fprintf(stderr, "broker_config_fuzz: expected that %s%s\n", what, why.c_str());
  std::abort();
}

class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / ("td-fuzz-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path file() const { return path_ / "broker.toml"; }

 private:
  std::filesystem::path path_;
};

Result<BrokerConfig> read(std::string_view text, std::string* printed) {
  static const Folder folder;
  std::ofstream(folder.file(), std::ios::binary) << text;
  ConfigSources sources;
  sources.file = folder.file();
  sources.environment.emplace();
  return load_config(sources, printed);
}

}  // namespace
}  // namespace tandem::broker

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
  using namespace tandem::broker;
  std::string printed, again;
  const auto config = read({reinterpret_cast<const char*>(data), n_bytes}, &printed);
  if (!config) {
    check(!config.error().text.empty(), "an error has a text");
    return 0;
  }
  const auto reread = read(printed, &again);
  check(reread.has_value(),
        "what is printed can be read: ", reread ? "" : reread.error().text + "\n" + printed);
  check(again == printed, "what is printed is the same when it is read");
  return 0;
}
