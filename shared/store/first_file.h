// The beginning of a store. Inside shared/store only.

#pragma once

#include <filesystem>

#include "shared/base/result.h"

namespace tandem {

// Makes `folder`/data.mdb, an empty store, unless it is there: when the power goes in the middle there is a
// whole file or none, and afterwards also its name, and that of the folder, are on the disk. One process at a
// time.
//
// LMDB itself writes the first pages in place and syncs neither them nor the name: a file that is half
// written is not opened again, and one without a name is not found, whatever was committed into it.
Result<void> make_first_file(const std::filesystem::path& folder);

}  // namespace tandem
