#include "shared/base/ids.h"

#include <chrono>
#include <cstring>
#include <random>

#include "shared/base/hash.h"

namespace tandem {
namespace {

constexpr char kHex[] = "0123456789abcdef";

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

uint64_t random_seed() {
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) ^ device();
}

void set_version(JobId& id, uint8_t version) {
  id.bytes[6] = static_cast<uint8_t>((id.bytes[6] & 0x0f) | (version << 4));
  id.bytes[8] = static_cast<uint8_t>((id.bytes[8] & 0x3f) | 0x80);
}

}  // namespace

std::string JobId::to_string() const {
  std::string text;
  text.reserve(36);
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += kHex[bytes[i] >> 4];
    text += kHex[bytes[i] & 15];
  }
  return text;
}

Result<JobId> JobId::parse(std::string_view text) {
  JobId id;
  size_t at = 0;
  bool good = text.size() == 36;
  for (size_t i = 0; good && i < 36; ++i) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      good = text[i] == '-';
      continue;
    }
    const int value = digit(text[i]);
    good = value >= 0;
    uint8_t& byte = id.bytes[at / 2];
    byte = static_cast<uint8_t>(byte << 4 | (value & 15));
    ++at;
  }
  if (!good) {
    return fail(ErrorCode::kInvalid,
                "expected a job id such as 01890a5d-ac96-774b-bcce-b302099a8057, found '" +
                    std::string(text.substr(0, 80)) + "'");
  }
  return id;
}

Result<JobId> JobId::from_bytes(std::span<const std::byte> data) {
  JobId id;
  if (data.size() != id.bytes.size()) {
    return fail(ErrorCode::kInvalid, "expected a job id of 16 bytes, found " + std::to_string(data.size()));
  }
  std::memcpy(id.bytes.data(), data.data(), data.size());
  return id;
}

JobId make_job_id() {
  thread_local std::mt19937_64 random{random_seed()};
  thread_local uint64_t last_ms = 0;
  thread_local uint32_t counter = 0;

  const auto now = std::chrono::system_clock::now().time_since_epoch();
  uint64_t ms = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  // RFC 9562 section 6.2, method 1: 12 bits of counter after the time keep the order within a millisecond.
  if (ms <= last_ms) {
    ms = last_ms;
    if (++counter > 0xfff) {
      ++ms;
      counter = 0;
    }
  } else {
    counter = static_cast<uint32_t>(random() & 0x7f);
  }
  last_ms = ms;

  JobId id;
  for (int i = 0; i < 6; ++i) id.bytes[static_cast<size_t>(i)] = static_cast<uint8_t>(ms >> (40 - 8 * i));
  id.bytes[6] = static_cast<uint8_t>(counter >> 8);
  id.bytes[7] = static_cast<uint8_t>(counter);
  const uint64_t tail = random();
  std::memcpy(id.bytes.data() + 8, &tail, 8);
  set_version(id, 7);
  return id;
}

JobId job_id_from_key(std::string_view key) {
  const Hash128 hash = hash128(key);
  JobId id;
  std::memcpy(id.bytes.data(), hash.bytes.data(), id.bytes.size());
  set_version(id, 8);
  return id;
}

}  // namespace tandem

size_t std::hash<tandem::JobId>::operator()(const tandem::JobId& id) const noexcept {
  static const tandem::KeyedHash keyed(tandem::random_seed());
  return keyed(id.bytes);
}
