#include "tests/system/powercut/write_log.h"

#include <cstring>

#include "shared/base/file.h"

namespace tandem::testing {

Result<std::vector<WriteRecord>> read_write_log(const std::string& path) {
  TANDEM_ASSIGN(const std::string log, read_file(path, size_t{4} << 30));
  std::vector<WriteRecord> records;
  size_t at = 0;
  while (log.size() - at >= sizeof(RecordHead)) {
    RecordHead head;
    std::memcpy(&head, log.data() + at, sizeof(head));
    if (head.magic != RecordHead{}.magic) {
      return fail(ErrorCode::kCorrupt, path + ": expected a record at byte " + std::to_string(at));
    }
    at += sizeof(head);
    if (log.size() - at < size_t{head.name_bytes} + head.n_bytes) break;
    records.push_back({head.kind, head.time_ns, log.substr(at, head.name_bytes), head.offset,
                       log.substr(at + head.name_bytes, head.n_bytes)});
    at += size_t{head.name_bytes} + head.n_bytes;
  }
  return records;
}

}  // namespace tandem::testing
