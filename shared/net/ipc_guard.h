// Keeps an ipc path for one program. Inside shared/net only.

#pragma once

#include <string>

#include "shared/base/file_lock.h"

namespace tandem {

// ZeroMQ removes whatever is at an ipc path before it binds there: that is right for the file of a process
// that died, and takes the path away from one that lives. So whoever binds holds `<path>.lock`, and for
// programs that do not know of the lock, asks first whether somebody answers at the path.
//
// kExists when the path is taken.
Result<FileLock> guard_ipc_path(const std::string& path);

}  // namespace tandem
