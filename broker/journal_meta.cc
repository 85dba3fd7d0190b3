#include "broker/journal_meta.h"

#include <string>
#include <string_view>

#include "broker/fact_codec.h"

namespace tandem::broker {
namespace {

constexpr std::string_view kVersionKey = "format_version";
constexpr std::string_view kSeedKey = "hash_seed";

// Little-endian, on every machine.
template <typename T>
std::string bytes_of(T number) {
  std::string bytes(sizeof(T), '\0');
  for (size_t i = 0; i < sizeof(T); ++i) bytes[i] = static_cast<char>(number >> (8 * i));
  return bytes;
}

template <typename T>
std::optional<T> number_of(std::string_view bytes) {
  if (bytes.size() != sizeof(T)) return std::nullopt;
  T number = 0;
  for (size_t i = 0; i < sizeof(T); ++i) number |= static_cast<T>(static_cast<uint8_t>(bytes[i])) << (8 * i);
  return number;
}

}  // namespace

Result<std::optional<JournalMeta>> read_meta(const Transaction& in, const Table& meta) {
  TANDEM_ASSIGN(const auto found, meta.get(in, kVersionKey));
  if (!found) return std::nullopt;
  const auto version = number_of<uint32_t>(*found);
  if (version != kFormatVersion) {
    return fail(ErrorCode::kUnsupported,
                "expected a journal of format version " + std::to_string(kFormatVersion) + ", found " +
                    (version ? std::to_string(*version) : std::to_string(found->size()) + " bytes") +
                    "; run the broker that wrote it");
  }
  TANDEM_ASSIGN(const auto seed, meta.get(in, kSeedKey));
  const auto number = seed ? number_of<uint64_t>(*seed) : std::nullopt;
  if (!number) return fail(ErrorCode::kCorrupt, "expected a hash_seed of 8 bytes, found none");
  return JournalMeta{*version, *number};
}

Result<void> write_meta(WriteTransaction& in, Table& table, const JournalMeta& meta) {
  TANDEM_TRY(table.put(in, kVersionKey, bytes_of(meta.format_version)));
  return table.put(in, kSeedKey, bytes_of(meta.hash_seed));
}

}  // namespace tandem::broker
