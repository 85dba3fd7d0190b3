// What a program wrote to the files of one folder, in order, with the bytes: made by write_log_shim.cc, which
// is preloaded into it, and read here.
//
// The log is a sequence of records, each a RecordHead, then the file's name, then the bytes. Numbers are
// those of this machine: a log does not travel.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shared/base/result.h"

namespace tandem::testing {

enum class WriteKind : uint32_t {
  kCreated = 1,     // a file that was not there; the folder must be synced before its name is sure
  kWrite = 2,       // about to be written; may reach the disk from now on
  kDurable = 3,     // the kWrite before it is on the disk (O_DSYNC)
  kSync = 4,        // the file is on the disk
  kTruncate = 5,    // `offset` is the new size
  kFolderSync = 6,  // the names in the folder are on the disk
  kRenamed = 7,     // `bytes` is the old name
};

struct RecordHead {
  uint32_t magic = 0x7a11de57;
  WriteKind kind = WriteKind::kWrite;
  int64_t time_ns = 0;  // CLOCK_MONOTONIC, when it was logged
  uint64_t offset = 0;
  uint32_t name_bytes = 0;
  uint32_t n_bytes = 0;
};

struct WriteRecord {
  WriteKind kind = WriteKind::kWrite;
  int64_t time_ns = 0;
  std::string name;  // of the file, within the folder; of a folder sync: empty
  uint64_t offset = 0;
  std::string bytes;
};

// kCorrupt for a file that is none; a last record that was cut off by a kill is left out.
Result<std::vector<WriteRecord>> read_write_log(const std::string& path);

}  // namespace tandem::testing
