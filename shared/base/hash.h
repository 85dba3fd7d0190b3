// Content hashes: cache keys, fingerprints, routing. XXH3 of 128 bits (xxHash specification 0.8), which is
// fast and stable across machines, and not meant against somebody who wants two texts to collide.

#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace tandem {

struct Hash128 {
  std::array<uint8_t, 16> bytes{};  // canonical (big-endian) form, the same on every machine

  auto operator<=>(const Hash128&) const = default;
  std::string to_hex() const;
  uint64_t low64() const;
};

Hash128 hash128(std::string_view data);
// Another hash for every seed: who does not know the seed cannot look for texts that collide.
Hash128 hash128(std::string_view data, uint64_t seed);

// For tables in memory whose keys of 16 bytes are chosen by strangers: who does not know the seed cannot look
// for keys that meet, nor for keys that share some bits of the hash. A few nanoseconds. Of no use on disk.
class KeyedHash {
 public:
  explicit KeyedHash(uint64_t seed);

  uint64_t operator()(const std::array<uint8_t, 16>& bytes) const {
    uint64_t high = 0, low = 0;
    std::memcpy(&high, bytes.data(), 8);
    std::memcpy(&low, bytes.data() + 8, 8);
    return fold(fold(low ^ keys_[0], high ^ keys_[1]) ^ keys_[2], keys_[3]);
  }

 private:
  // Both halves of the product in one: every bit depends on every bit of both factors.
  static uint64_t fold(uint64_t a, uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }

  std::array<uint64_t, 4> keys_;
};

// A hash over fields, each prefixed with its length, so that ("ab", "c") and ("a", "bc") differ.
// One thread. Use: HashBuilder().add("v1").add(text).add(uint64_t{7}).finish()
class HashBuilder {
 public:
  HashBuilder();
  ~HashBuilder();
  HashBuilder(const HashBuilder&) = delete;
  HashBuilder& operator=(const HashBuilder&) = delete;

  HashBuilder& add(std::string_view field);
  HashBuilder& add(uint64_t number);
  HashBuilder& add(double number);
  HashBuilder& add_bytes(const void* data, size_t n_bytes);
  Hash128 finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tandem
