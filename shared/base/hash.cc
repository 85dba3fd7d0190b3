#include "shared/base/hash.h"

#include <xxhash.h>

#include <cstring>

#include "shared/base/assert.h"

namespace tandem {
namespace {

Hash128 canonical(XXH128_hash_t value) {
  XXH128_canonical_t bytes;
  XXH128_canonicalFromHash(&bytes, value);
  Hash128 hash;
  std::memcpy(hash.bytes.data(), bytes.digest, hash.bytes.size());
  return hash;
}

}  // namespace

std::string Hash128::to_hex() const {
  constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : bytes) {
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

uint64_t Hash128::low64() const {
  uint64_t value = 0;
  for (size_t i = 8; i < 16; ++i) value = value << 8 | bytes[i];
  return value;
}

Hash128 hash128(std::string_view data) {
  return canonical(XXH3_128bits(data.data(), data.size()));
}

Hash128 hash128(std::string_view data, uint64_t seed) {
  return canonical(XXH3_128bits_withSeed(data.data(), data.size(), seed));
}

KeyedHash::KeyedHash(uint64_t seed) {
  for (size_t i = 0; i < keys_.size(); ++i) keys_[i] = hash128("key " + std::to_string(i), seed).low64() | 1;
}

struct HashBuilder::State {
  XXH3_state_t* xxh = XXH3_createState();
  ~State() { XXH3_freeState(xxh); }
};

HashBuilder::HashBuilder() : state_(std::make_unique<State>()) {
  TANDEM_ASSERT(state_->xxh != nullptr, "a hash state fits in memory");
  XXH3_128bits_reset(state_->xxh);
}
HashBuilder::~HashBuilder() = default;

HashBuilder& HashBuilder::add_bytes(const void* data, size_t n_bytes) {
  uint8_t size[8];
  for (int i = 0; i < 8; ++i) size[i] = static_cast<uint8_t>(static_cast<uint64_t>(n_bytes) >> (8 * i));
  XXH3_128bits_update(state_->xxh, size, sizeof size);
  XXH3_128bits_update(state_->xxh, data, n_bytes);
  return *this;
}

HashBuilder& HashBuilder::add(std::string_view field) {
  return add_bytes(field.data(), field.size());
}

HashBuilder& HashBuilder::add(uint64_t number) {
  uint8_t bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<uint8_t>(number >> (8 * i));
  return add_bytes(bytes, sizeof bytes);
}

HashBuilder& HashBuilder::add(double number) {
  uint64_t bits = 0;
  const double positive_zero = number == 0 ? 0.0 : number;  // -0.0 means the same
  std::memcpy(&bits, &positive_zero, sizeof bits);
  return add(bits);
}

Hash128 HashBuilder::finish() const {
  return canonical(XXH3_128bits_digest(state_->xxh));
}

}  // namespace tandem
