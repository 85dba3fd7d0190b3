// The facts of a journal as lines for people and their scripts.

#pragma once

#include <functional>
#include <string>

#include "broker/upkeep/journal_reader.h"

namespace tandem::broker {

struct DumpOptions {
  bool json = false;      // one object a line; otherwise "17 accepted job=... client=... bytes=512"
  bool payloads = false;  // with them, as text: bytes that are no UTF-8, and control characters, as \xNN
};

// Gives every fact as a line without its end, in order; a fact that cannot be read says so in its line, and a
// tree that is broken ends the walk. The number of damaged ones.
uint64_t dump_journal(const JournalReader& journal, const DumpOptions& options,
                      const std::function<void(const std::string& line)>& print);

// "2025-03-01T12:00:00.123Z"
std::string utc_text(int64_t wall_ms);

}  // namespace tandem::broker
