// Where the files that come with Tandem are: task files, the demonstration model, samples.

#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "shared/base/result.h"

namespace tandem {

// The folders that are looked through, in this order:
//
//   $TANDEM_HOME                        if set: somebody says where
//   <program>/../../../configs          a build folder inside the source tree, build/<preset>/bin
//   <program>/../share/tandem           installed
//   ./configs                           started in the source tree
//
// where <program> is the folder of the running program's file.
std::vector<std::filesystem::path> shipped_folders();

// shipped_file("models/tandem-demo"): the first that exists, as an absolute path. kNotFound says where it
// looked.
Result<std::filesystem::path> shipped_file(const std::string& name);

}  // namespace tandem
