// An answer as it lies in the store, byte by byte. Numbers are little-endian.
//
//   offset  size
//   0       8     checksum: the low halves of the XXH3-128 of all bytes from 8 on, of the XXH3-128 of the
//                 format's name, and of the key, xor-ed
//   8       8     created_ms, wall clock, when the model gave the answer
//   16      8     expires_ms, wall clock; 0: never
//   24      1     bytes of the namespace
//   25      n     namespace
//   25+n    m     payload: encode_answer() (answer_codec.h)
//
// The format is named in the store (kAnswerFormat, answer_store.h). When these bytes or their meaning change,
// the name changes; a store of another name is emptied when it is opened: answers can be computed again.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "shared/base/hash.h"

namespace tandem {

inline constexpr std::string_view kAnswerFormat = "tandem answers 3";

struct AnswerRecord {
  int64_t created_ms = 0;
  int64_t expires_ms = 0;
  std::string_view name_space;  // this and the payload: into the bytes it was read from
  std::string_view payload;

  bool expired(int64_t now_ms) const { return expires_ms != 0 && now_ms >= expires_ms; }
};

// A namespace has up to limits::kNameBytesMax bytes.
std::string write_record(const Hash128& key, const AnswerRecord& record);
// Nothing when the bytes are damaged, belong to another key, or are of another format.
std::optional<AnswerRecord> read_record(const Hash128& key, std::string_view bytes);

}  // namespace tandem
