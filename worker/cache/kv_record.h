// Keys and values of one block, as bytes in a store. Numbers are little-endian.
//
//   offset  bytes
//   0       16      checksum: XXH3, 128 bits, over the format's name, the identity, and all that follows here
//   16      4       n, the number of tokens
//   20      4       zero
//   24      4 * n   all tokens of the text up to the end of the block
//   ...     fixed   content of the block
//
// All tokens of the text, not only the block's own: then nothing rests on a hash, and the record says alone
// whose keys and values these are. They are thousands of times smaller than what is computed of them.

#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "shared/base/hash.h"
#include "worker/engine/tokens.h"

namespace tandem {

inline constexpr std::string_view kKvFormat = "tandem kv 1";
inline constexpr size_t kKvBlockTokens = 32;

// What keys and values depend on besides the tokens, as one hash: model, compute type, layout.
using KvIdentity = Hash128;

// The name of a block: that of all tokens up to its end. Full blocks have 16 bytes. The end of a text, a
// block that is not full, has 32: the name of the full block in front of it, and its own. So the ends that
// may follow a block stand right behind it.
std::string kv_key(const KvIdentity& identity, std::span<const engine::TokenId> text);

// Room for a record, filled but for its checksum: cheap, for the thread that computes. seal_kv_record() does
// the rest.
std::string open_kv_record(std::span<const engine::TokenId> text, std::span<const std::byte> content);
void seal_kv_record(const KvIdentity& identity, std::string& record);

// The text that the record is of. Nothing when its length is not what its first bytes say, for blocks of
// `content_bytes`. Looks at nothing else.
std::optional<engine::Tokens> kv_record_text(std::string_view record, size_t content_bytes);

// Copies the block into `content`, and then checks the copy: true when it is what was sealed.
bool copy_kv_record(const KvIdentity& identity, std::string_view record, std::span<std::byte> content);

}  // namespace tandem
