#include "worker/engine/tensor/checkpoint.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>

#include "worker/engine/tensor/gguf.h"
#include "worker/engine/tensor/gguf_names.h"
#include "worker/engine/tensor/safetensors.h"

namespace tandem::engine {
namespace {

using Json = nlohmann::json;

constexpr char kSingleFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";
constexpr size_t kIndexBytesMax = 64u << 20;
constexpr size_t kShardsMax = 1000;

// Tensor name -> file name.
using WeightMap = std::map<std::string, std::string>;

Result<WeightMap> read_index(const std::filesystem::path& path) {
  TANDEM_ASSIGN(const std::string text, read_file(path, kIndexBytesMax));
  const Json index = Json::parse(text, nullptr, false);
  const auto corrupt = [&](const std::string& what) {
    return fail(ErrorCode::kCorrupt, path.string() + ": " + what);
  };
  if (index.is_discarded()) return corrupt("expected JSON, found something else (is the file cut off?)");
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    return corrupt("expected an object with 'weight_map', an object, found none");
  }
  WeightMap map;
  for (const auto& [name, file] : index["weight_map"].items()) {
    if (!file.is_string())
      return corrupt("tensor '" + name + "': expected a file name, found " + file.dump());
    const std::string file_name = file.get<std::string>();
    if (file_name.empty() || std::filesystem::path(file_name).filename() != file_name || file_name == "..") {
      return corrupt("tensor '" + name + "': expected the name of a file in this folder, found '" +
                     file_name + "'");
    }
    map.emplace(name, file_name);
  }
  return map;
}

}  // namespace

Result<Checkpoint> Checkpoint::open(const std::filesystem::path& folder) {
  Checkpoint checkpoint;
  TANDEM_ASSIGN(const auto gguf, gguf_file_of(folder));
  checkpoint.folder_ = gguf.value_or(folder);
  if (gguf) {
    TANDEM_TRY(checkpoint.add_gguf(*gguf));
    return checkpoint;
  }
  std::error_code ignored;
  if (std::filesystem::exists(folder / kSingleFile, ignored)) {
    TANDEM_TRY(checkpoint.add_file(folder / kSingleFile));
    return checkpoint;
  }
  const std::filesystem::path index = folder / kIndexFile;
  if (!std::filesystem::exists(index, ignored)) {
    return fail(ErrorCode::kNotFound, folder.string() + ": expected " + kSingleFile + ", " + kIndexFile +
                                          " or a .gguf file, found none");
  }
  TANDEM_ASSIGN(const WeightMap map, read_index(index));
  std::set<std::string> files;
  for (const auto& [name, file] : map) files.insert(file);
  if (files.size() > kShardsMax) {
    return fail(ErrorCode::kCorrupt, index.string() + ": expected at most " + std::to_string(kShardsMax) +
                                         " files, found " + std::to_string(files.size()));
  }
  for (const std::string& file : files) {
    if (auto added = checkpoint.add_file(folder / file); !added) {
      if (added.error().code != ErrorCode::kNotFound) return fail(added.error());
      return fail_in(index.string() + " names a file that is missing", added.error());
    }
  }
  for (const auto& [name, file] : map) {
    const Entry* entry = checkpoint.find(name);
    if (entry == nullptr || entry->file->filename() != file) {
      return fail(ErrorCode::kCorrupt,
                  index.string() + ": expected tensor '" + name + "' in " + file + ", found it " +
                      (entry == nullptr ? "nowhere" : "in " + entry->file->filename().string()));
    }
  }
  return checkpoint;
}

Result<const MappedFile*> Checkpoint::map(const std::filesystem::path& path) {
  TANDEM_ASSIGN(MappedFile mapped, MappedFile::open(path));
  files_.push_back(std::make_unique<MappedFile>(std::move(mapped)));
  return files_.back().get();
}

Result<void> Checkpoint::add_file(const std::filesystem::path& path) {
  TANDEM_ASSIGN(const MappedFile* file, map(path));
  auto tensors = parse_safetensors(file->bytes());
  if (!tensors) return fail_in(path.string(), tensors.error());
  return add(*std::move(tensors), *file);
}

Result<void> Checkpoint::add_gguf(const std::filesystem::path& path) {
  TANDEM_ASSIGN(const MappedFile* file, map(path));
  auto gguf = parse_gguf(file->bytes());
  if (!gguf) return fail_in(path.string(), gguf.error());
  for (StoredTensor& tensor : gguf->tensors) tensor.name = hugging_face_name(tensor.name);
  return add(std::move(gguf->tensors), *file);
}

Result<void> Checkpoint::add(std::vector<StoredTensor> tensors, const MappedFile& file) {
  for (StoredTensor& tensor : tensors) {
    const std::string name = tensor.name;
    const auto [at, is_new] = tensors_.emplace(name, Entry{std::move(tensor), &file.path()});
    if (!is_new) {
      return fail(ErrorCode::kCorrupt, file.path().string() + ": expected tensor '" + name +
                                           "' once, found it in " + at->second.file->filename().string() +
                                           ", too");
    }
  }
  return {};
}

const Checkpoint::Entry* Checkpoint::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

void Checkpoint::forget_pages(std::span<const std::byte> bytes) const {
  static const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uintptr_t>(bytes.data());
  const uintptr_t begin = (first + page - 1) / page * page, end = (first + bytes.size()) / page * page;
  // All tensors lie in read-only maps of files, where this loses nothing.
  if (begin < end) (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace tandem::engine
