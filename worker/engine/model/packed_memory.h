// Where packed weights live: in a file that all workers of a host map, or in memory of this process.

#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>

#include "shared/base/file.h"
#include "shared/base/result.h"
#include "worker/engine/tensor/float_buffer.h"

namespace tandem::engine {

// Packing reads and rewrites every weight, seconds for a large model, and each process that does it holds its
// own copy. So what was packed is kept in `<folder>/<name>.packed`: the next start maps it, and processes on
// one host share the pages. The file is machine-independent among little-endian machines and may be deleted
// at any time.
//
//   4096 bytes  "tandem-packed-2\n" (the number is that of the layout of packed_matrix.h: it changes with
//               it), `name`, "\n", the hash of the rest in hex (hash.h), "\n", zeros
//   the rest    what `fill` has written
//
// The hash is checked at every start, at the memory's rate: weights that a disk has damaged would answer, and
// the answers would stay in the cache.
class PackedMemory {
 public:
  // Writes all n_bytes; the memory is zeros before.
  using Fill = std::function<void(std::byte* to)>;

  // Maps the file of that name, if it is there and whole. Otherwise fills one, under a lock so that two
  // workers that start together pack once, syncs it and gives it its name when it is complete. Where that is
  // impossible (no room, no permission, an empty `folder`) the memory is this process's own.
  //
  // kIo when there is no memory.
  static Result<PackedMemory> open(const std::filesystem::path& folder, const std::string& name,
                                   size_t n_bytes, const Fill& fill);

  PackedMemory() = default;
  const std::byte* data() const;
  bool is_shared() const { return !file_.bytes().empty(); }

 private:
  MappedFile file_;
  FloatBuffer own_;
};

}  // namespace tandem::engine
