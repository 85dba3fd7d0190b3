#include "worker/cache/answer_record.h"

namespace tandem {
namespace {

constexpr size_t kHeaderBytes = 25;

void put64(std::string& out, uint64_t number) {
  for (int i = 0; i < 8; ++i) out += static_cast<char>(number >> (8 * i));
}

uint64_t get64(std::string_view bytes, size_t at) {
  uint64_t number = 0;
  for (size_t i = 0; i < 8; ++i) number |= uint64_t{static_cast<uint8_t>(bytes[at + i])} << (8 * i);
  return number;
}

uint64_t checksum(const Hash128& key, std::string_view after) {
  static const uint64_t format = hash128(kAnswerFormat).low64();
  return hash128(after).low64() ^ key.low64() ^ format;
}

}  // namespace

std::string write_record(const Hash128& key, const AnswerRecord& record) {
  std::string after;
  after.reserve(kHeaderBytes - 8 + record.name_space.size() + record.payload.size());
  put64(after, static_cast<uint64_t>(record.created_ms));
  put64(after, static_cast<uint64_t>(record.expires_ms));
  after += static_cast<char>(record.name_space.size());
  after += record.name_space;
  after += record.payload;

  std::string bytes;
  bytes.reserve(8 + after.size());
  put64(bytes, checksum(key, after));
  bytes += after;
  return bytes;
}

std::optional<AnswerRecord> read_record(const Hash128& key, std::string_view bytes) {
  if (bytes.size() < kHeaderBytes || get64(bytes, 0) != checksum(key, bytes.substr(8))) return std::nullopt;
  const size_t n_name_bytes = static_cast<uint8_t>(bytes[kHeaderBytes - 1]);
  const std::string_view rest = bytes.substr(kHeaderBytes);
  if (n_name_bytes > rest.size()) return std::nullopt;
  return AnswerRecord{static_cast<int64_t>(get64(bytes, 8)), static_cast<int64_t>(get64(bytes, 16)),
                      rest.substr(0, n_name_bytes), rest.substr(n_name_bytes)};
}

}  // namespace tandem
