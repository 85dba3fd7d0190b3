// A copy of a golden model that a test may damage.

#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "shared/base/error.h"
#include "tests/support/temp_dir.h"

namespace tandem::testing {

class ModelCopy {
 public:
  explicit ModelCopy(const std::string& name);

  const std::filesystem::path& path() const { return folder_.path(); }
  void write(const std::string& file, const std::string& content) const;
  std::string read(const std::string& file) const;
  void remove(const std::string& file) const;
  void cut(const std::string& file, size_t n_bytes_less) const;

  using Edit = std::function<void(nlohmann::ordered_json&)>;
  void edit_json(const std::string& file, const Edit& edit) const;
  void edit_config(const Edit& edit) const { edit_json("config.json", edit); }
  // Edits the header of a safetensors file; the tensors' bytes stay, so offsets may be made wrong.
  void edit_header(const std::string& file, const Edit& edit) const;

  // The error of loading it. kInternal with "it loads" when there is none.
  Error load_error() const;

 private:
  TempDir folder_;
};

// A safetensors file from its header (any text) and the bytes behind it.
std::string safetensors_file(const std::string& header, const std::string& data);

}  // namespace tandem::testing
