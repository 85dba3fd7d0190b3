#include "shared/store/lmdb_error.h"

#include <lmdb.h>

#include <cerrno>

namespace tandem {

tl::unexpected<Error> fail_lmdb(const std::string& place, int code) {
  const auto because = [&](ErrorCode kind, const std::string& text) {
    return fail(kind, place + ": " + text);
  };
  switch (code) {
    case MDB_MAP_FULL:
      return because(ErrorCode::kFull, "the store is full (its map_bytes are used up)");
    case MDB_TXN_FULL:
      return because(ErrorCode::kFull, "too many changes for one transaction");
    case MDB_READERS_FULL:
      return because(ErrorCode::kFull, "too many readers at a time (readers_max)");
    case MDB_DBS_FULL:
      return because(ErrorCode::kFull, "too many tables (tables_max)");
    case ENOSPC:
      return because(ErrorCode::kFull, "disk full");
    case EDQUOT:
      return because(ErrorCode::kFull, "disk full (quota)");
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
      return because(ErrorCode::kCorrupt, "the store is damaged");
    case MDB_INVALID:
      return because(ErrorCode::kCorrupt, "expected a store, found another kind of file");
    case MDB_VERSION_MISMATCH:
      return because(ErrorCode::kCorrupt, "expected a store of this LMDB version's format, found another");
    case MDB_BAD_VALSIZE:
      return because(ErrorCode::kInvalid, "expected a key of 1 to 511 bytes, found another size");
    case MDB_MAP_RESIZED:
      return because(ErrorCode::kUnavailable, "another process enlarged the store while this one was in it");
    default:
      return because(ErrorCode::kIo, mdb_strerror(code));
  }
}

}  // namespace tandem
