#include "tests/engine/support/model_copy.h"

#include <cstring>
#include <fstream>

#include "shared/base/file.h"
#include "tests/engine/support/golden.h"

namespace tandem::testing {

namespace fs = std::filesystem;

ModelCopy::ModelCopy(const std::string& name) {
  fs::copy(kGoldenModels + name, path(), fs::copy_options::recursive);
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path())) {
    fs::permissions(entry.path(), fs::perms::owner_write, fs::perm_options::add);
  }
}

void ModelCopy::write(const std::string& file, const std::string& content) const {
  must(write_file_atomically(path() / file, content).map([] { return true; }));
}

std::string ModelCopy::read(const std::string& file) const {
  return must(read_file(path() / file, 64u << 20));
}

void ModelCopy::remove(const std::string& file) const {
  fs::remove(path() / file);
}

void ModelCopy::cut(const std::string& file, size_t n_bytes_less) const {
  fs::resize_file(path() / file, fs::file_size(path() / file) - n_bytes_less);
}

void ModelCopy::edit_json(const std::string& file, const Edit& edit) const {
  auto json = nlohmann::ordered_json::parse(read(file));
  edit(json);
  write(file, json.dump());
}

void ModelCopy::edit_header(const std::string& file, const Edit& edit) const {
  const std::string content = read(file);
  uint64_t n_header = 0;
  std::memcpy(&n_header, content.data(), sizeof n_header);
  auto header = nlohmann::ordered_json::parse(content.substr(8, n_header));
  edit(header);
  write(file, safetensors_file(header.dump(), content.substr(8 + n_header)));
}

Error ModelCopy::load_error() const {
  const auto loaded = engine::Model::load(path(), {.n_threads = 1});
  return loaded ? Error{ErrorCode::kInternal, "it loads"} : loaded.error();
}

std::string safetensors_file(const std::string& header, const std::string& data) {
  const uint64_t n_header = header.size();
  std::string file(sizeof n_header, '\0');
  std::memcpy(file.data(), &n_header, sizeof n_header);
  return file + header + data;
}

}  // namespace tandem::testing
