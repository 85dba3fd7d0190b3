#include "worker/cache/kv_record.h"

#include <bit>
#include <cstring>

#include "shared/base/assert.h"

namespace tandem {

using engine::TokenId;

namespace {

static_assert(std::endian::native == std::endian::little, "records are written as they lie in memory");

constexpr size_t kChecksumBytes = sizeof(Hash128::bytes);
constexpr size_t kHeaderBytes = kChecksumBytes + 8;

std::string_view view(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string hash_of(const KvIdentity& identity, std::span<const TokenId> text) {
  const Hash128 hash = HashBuilder()
                           .add_bytes(identity.bytes.data(), identity.bytes.size())
                           .add_bytes(text.data(), text.size_bytes())
                           .finish();
  return {reinterpret_cast<const char*>(hash.bytes.data()), hash.bytes.size()};
}

Hash128 checksum(const KvIdentity& identity, std::string_view numbers_and_text, std::string_view content) {
  return HashBuilder()
      .add(kKvFormat)
      .add_bytes(identity.bytes.data(), identity.bytes.size())
      .add(numbers_and_text)
      .add(content)
      .finish();
}

size_t n_tokens_of(std::string_view record) {
  uint32_t n = 0;
  std::memcpy(&n, record.data() + kChecksumBytes, sizeof n);
  return n;
}

}  // namespace

std::string kv_key(const KvIdentity& identity, std::span<const TokenId> text) {
  const size_t n_behind = text.size() % kKvBlockTokens;
  const std::string own = hash_of(identity, text);
  return n_behind == 0 ? own : hash_of(identity, text.first(text.size() - n_behind)) + own;
}

std::string open_kv_record(std::span<const TokenId> text, std::span<const std::byte> content) {
  const auto n = static_cast<uint32_t>(text.size());
  std::string record;
  record.reserve(kHeaderBytes + text.size_bytes() + content.size());
  record.assign(kHeaderBytes, '\0');
  std::memcpy(record.data() + kChecksumBytes, &n, sizeof n);
  record.append(view(std::as_bytes(text)));
  record.append(view(content));
  return record;
}

void seal_kv_record(const KvIdentity& identity, std::string& record) {
  const std::string_view rest = std::string_view(record).substr(kChecksumBytes);
  const size_t n_first = kHeaderBytes - kChecksumBytes + n_tokens_of(record) * sizeof(TokenId);
  const Hash128 sum = checksum(identity, rest.substr(0, n_first), rest.substr(n_first));
  std::memcpy(record.data(), sum.bytes.data(), sum.bytes.size());
}

std::optional<engine::Tokens> kv_record_text(std::string_view record, size_t content_bytes) {
  if (record.size() < kHeaderBytes + content_bytes) return std::nullopt;
  const size_t n_text_bytes = record.size() - kHeaderBytes - content_bytes;
  if (n_text_bytes == 0 || n_text_bytes != n_tokens_of(record) * sizeof(TokenId)) return std::nullopt;
  engine::Tokens text(n_text_bytes / sizeof(TokenId));
  std::memcpy(text.data(), record.data() + kHeaderBytes, n_text_bytes);
  return text;
}

bool copy_kv_record(const KvIdentity& identity, std::string_view record, std::span<std::byte> content) {
  TANDEM_ASSERT(record.size() >= kHeaderBytes + content.size(), "the caller has looked at its text");
  const size_t n_before = record.size() - content.size();
  std::memcpy(content.data(), record.data() + n_before, content.size());
  const Hash128 sum =
      checksum(identity, record.substr(kChecksumBytes, n_before - kChecksumBytes), view(content));
  return std::memcmp(sum.bytes.data(), record.data(), sum.bytes.size()) == 0;
}

}  // namespace tandem
