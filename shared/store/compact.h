// A store in its own place without its free pages: LMDB's file never shrinks by itself.

#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "shared/base/result.h"

namespace tandem {

struct Compacted {
  uint64_t bytes_before = 0, bytes_after = 0;  // of the file
};

// Copies the store of `folder` beside itself ("compacting"), has `check` look at the copy, and exchanges the
// two in one step: a crash leaves the old store or the new one. kExists: somebody has it open, be it to read
// only. kFull: the disk has no room for the copy. After any error the store is as it was. LMDB ends the
// process with a signal where pages are damaged: who must not end calls it in a child.
Result<Compacted> compact_store(const std::filesystem::path& folder,
                                const std::function<Result<void>(const std::filesystem::path& copy)>& check);

// Removes the copy that a compaction left which ended halfway, unless one is under way. compact_store() does
// so, too.
void remove_unfinished_compaction(const std::filesystem::path& folder);

}  // namespace tandem
