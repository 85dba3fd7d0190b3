// All tensors of a model folder, from one file or from several.

#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/file.h"
#include "shared/base/result.h"
#include "worker/engine/tensor/stored_tensor.h"

namespace tandem::engine {

// Maps `model.safetensors`, or the files that `model.safetensors.index.json` names in its weight_map (the
// single file wins where both are there, as in the reference), or a GGUF file (see gguf_file_of()), whose
// tensors get the names that Hugging Face gives them. Owns the maps; immutable, safe from any thread.
class Checkpoint {
 public:
  // kNotFound when there is neither, or a shard is missing; kCorrupt for a broken file or index, a tensor
  // that is not in the shard the index names, or a tensor in two shards. The error names file and tensor. The
  // index's metadata.total_size is not looked at: real ones are wrong.
  static Result<Checkpoint> open(const std::filesystem::path& folder_or_gguf);

  struct Entry {
    StoredTensor tensor;
    const std::filesystem::path* file = nullptr;
  };
  // nullptr when there is none of that name.
  const Entry* find(std::string_view name) const;
  // By name.
  const std::map<std::string, Entry, std::less<>>& tensors() const { return tensors_; }
  const std::filesystem::path& folder() const { return folder_; }  // or the GGUF file
  // Says that `bytes` of a tensor were read once and are not needed soon: their whole pages leave this
  // process. They stay in the system's page cache, and whoever reads them again finds them there.
  void forget_pages(std::span<const std::byte> bytes) const;

 private:
  Result<const MappedFile*> map(const std::filesystem::path& path);
  Result<void> add_file(const std::filesystem::path& path);
  Result<void> add_gguf(const std::filesystem::path& path);
  Result<void> add(std::vector<StoredTensor> tensors, const MappedFile& file);

  std::filesystem::path folder_;
  std::vector<std::unique_ptr<MappedFile>> files_;
  std::map<std::string, Entry, std::less<>> tensors_;
};

}  // namespace tandem::engine
