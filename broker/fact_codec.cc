#include "broker/fact_codec.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "shared/base/hash.h"
#include "shared/base/limits.h"

namespace tandem::broker {
namespace {

constexpr size_t kHeadBytes = 88;
constexpr size_t kIdAt = 32;
constexpr size_t kPayloadHashAt = 48;
constexpr size_t kHeadHashAt = 80;
constexpr uint8_t kAcceptedKind = 1;
constexpr uint8_t kFinishedKind = 2;

template <typename T>
void put(char* bytes, size_t at, T number) {
  for (size_t i = 0; i < sizeof(T); ++i) {
    bytes[at + i] = static_cast<char>(static_cast<uint64_t>(number) >> (8 * i));
  }
}

template <typename T>
T get(std::string_view bytes, size_t at) {
  uint64_t number = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    number |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[at + i])) << (8 * i);
  }
  return static_cast<T>(number);
}

char* put_text(char* out, std::string_view text) {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

// `out` holds the head and texts up to `head_end`, filled but for the hashes.
void seal(char* out, const char* head_end, Sequence sequence, const Hash128& payload_hash, uint64_t seed) {
  std::memcpy(out + kPayloadHashAt, payload_hash.bytes.data(), payload_hash.bytes.size());
  put<uint64_t>(out, kHeadHashAt, sequence);
  const std::string_view head(out, static_cast<size_t>(head_end - out));
  put<uint64_t>(out, kHeadHashAt, hash128(head, seed).low64());
}

tl::unexpected<Error> corrupt(Sequence sequence, const std::string& text) {
  return fail(ErrorCode::kCorrupt, "fact " + std::to_string(sequence) + ": " + text);
}

// Where the payload begins, when everything before it is as it was written.
Result<size_t> check_head(Sequence sequence, std::string_view bytes, uint64_t seed) {
  if (bytes.size() < kHeadBytes) {
    return corrupt(sequence, "expected a head of 88 bytes, found " + std::to_string(bytes.size()));
  }
  const uint8_t kind = get<uint8_t>(bytes, 0);
  if (kind != kAcceptedKind && kind != kFinishedKind) {
    return corrupt(sequence, "expected kind 1 or 2, found " + std::to_string(kind));
  }
  const size_t n_text = kind == kFinishedKind ? get<uint32_t>(bytes, 8) : 0;
  const size_t head_end = kHeadBytes + get<uint8_t>(bytes, 1) + n_text;
  const size_t n_bytes = head_end + get<uint32_t>(bytes, 12);
  if (bytes.size() != n_bytes) {
    return corrupt(sequence,
                   "expected " + std::to_string(n_bytes) + " bytes, found " + std::to_string(bytes.size()));
  }
  char head[kHeadBytes + UINT8_MAX + limits::kErrorTextBytesMax];
  if (head_end > sizeof head) {
    return corrupt(sequence, "expected an error text of " + std::to_string(limits::kErrorTextBytesMax) +
                                 " bytes at most, found " + std::to_string(n_text));
  }
  std::memcpy(head, bytes.data(), head_end);
  put<uint64_t>(head, kHeadHashAt, sequence);
  if (hash128({head, head_end}, seed).low64() != get<uint64_t>(bytes, kHeadHashAt)) {
    return corrupt(sequence, "the head's bytes are not those that were written (its hash differs)");
  }
  return head_end;
}

}  // namespace

size_t encoded_bytes(const AcceptedFact& fact) {
  return kHeadBytes + fact.client.size() + fact.payload.size();
}

size_t encoded_bytes(const FinishedFact& fact) {
  return kHeadBytes + fact.worker.size() + fact.error.text.size() + fact.payload.size();
}

void encode(const AcceptedFact& fact, uint64_t seed, char* out) {
  put<uint8_t>(out, 0, kAcceptedKind);
  put<uint8_t>(out, 1, static_cast<uint8_t>(fact.client.size()));
  put<uint8_t>(out, 2, static_cast<uint8_t>(fact.urgency));
  put<uint8_t>(out, 3, fact.priority);
  put<uint32_t>(out, 4, fact.cost);
  put<uint32_t>(out, 8, fact.attempts_max);
  put<uint32_t>(out, 12, static_cast<uint32_t>(fact.payload.size()));
  put<uint64_t>(out, 16, fact.route);
  put<int64_t>(out, 24, fact.wall_ms);
  std::memcpy(out + kIdAt, fact.id.bytes.data(), fact.id.bytes.size());
  put<int64_t>(out, 64, fact.not_before_ms);
  put<int64_t>(out, 72, fact.expires_ms);
  char* const head_end = put_text(out + kHeadBytes, fact.client);
  seal(out, head_end, fact.sequence, fact.payload_hash, seed);
  put_text(head_end, fact.payload);
}

void encode(const FinishedFact& fact, uint64_t seed, char* out) {
  const bool has_error = fact.state != JobState::kDone;
  put<uint8_t>(out, 0, kFinishedKind);
  put<uint8_t>(out, 1, static_cast<uint8_t>(fact.worker.size()));
  put<uint8_t>(out, 2, static_cast<uint8_t>(fact.state));
  put<uint8_t>(out, 3, has_error ? static_cast<uint8_t>(fact.error.code) : uint8_t{0});
  put<uint32_t>(out, 4, fact.attempt);
  put<uint32_t>(out, 8, static_cast<uint32_t>(fact.error.text.size()));
  put<uint32_t>(out, 12, static_cast<uint32_t>(fact.payload.size()));
  put<uint64_t>(out, 16, fact.accepted);
  put<int64_t>(out, 24, fact.wall_ms);
  std::memcpy(out + kIdAt, fact.id.bytes.data(), fact.id.bytes.size());
  std::memset(out + 64, 0, 16);
  char* const head_end = put_text(put_text(out + kHeadBytes, fact.worker), fact.error.text);
  seal(out, head_end, fact.sequence, hash128(fact.payload, seed), seed);
  put_text(head_end, fact.payload);
}

Result<DecodedHead> decode_head(Sequence sequence, std::string_view bytes, uint64_t seed) {
  TANDEM_ASSIGN(const size_t head_end, check_head(sequence, bytes, seed));
  const size_t payload_bytes = bytes.size() - head_end;
  const std::string_view name = bytes.substr(kHeadBytes, get<uint8_t>(bytes, 1));
  JobId id;
  std::memcpy(id.bytes.data(), &bytes[32], id.bytes.size());

  if (get<uint8_t>(bytes, 0) == kAcceptedKind) {
    const uint8_t urgency = get<uint8_t>(bytes, 2), priority = get<uint8_t>(bytes, 3);
    if (urgency > static_cast<uint8_t>(Urgency::kInteractive) || priority > kPriorityMax) {
      return corrupt(sequence, "expected an urgency of 0 or 1 and a priority of 0 to " +
                                   std::to_string(kPriorityMax) + ", found " + std::to_string(urgency) +
                                   " and " + std::to_string(priority));
    }
    AcceptedFact fact;
    fact.sequence = sequence;
    fact.id = id;
    fact.client = name;
    fact.route = get<uint64_t>(bytes, 16);
    fact.cost = get<uint32_t>(bytes, 4);
    fact.attempts_max = get<uint32_t>(bytes, 8);
    fact.wall_ms = get<int64_t>(bytes, 24);
    fact.urgency = static_cast<Urgency>(urgency);
    fact.priority = priority;
    fact.not_before_ms = get<int64_t>(bytes, 64);
    fact.expires_ms = get<int64_t>(bytes, 72);
    std::memcpy(fact.payload_hash.bytes.data(), &bytes[kPayloadHashAt], fact.payload_hash.bytes.size());
    return DecodedHead{std::move(fact), payload_bytes};
  }

  FinishedFact fact;
  fact.sequence = sequence;
  fact.accepted = get<uint64_t>(bytes, 16);
  fact.id = id;
  fact.attempt = get<uint32_t>(bytes, 4);
  fact.worker = name;
  fact.wall_ms = get<int64_t>(bytes, 24);
  const uint8_t state = get<uint8_t>(bytes, 2);
  if (state < static_cast<uint8_t>(JobState::kDone) || state > static_cast<uint8_t>(kJobStateLast)) {
    return corrupt(sequence, "expected a state from 3 to " + std::to_string(static_cast<int>(kJobStateLast)) +
                                 ", found " + std::to_string(state));
  }
  if (state != static_cast<uint8_t>(JobState::kDone)) {
    const auto code = error_code_from(get<uint8_t>(bytes, 3));
    if (!code) return corrupt(sequence, "unknown error code " + std::to_string(get<uint8_t>(bytes, 3)));
    fact.error = {*code, std::string(bytes.substr(kHeadBytes + name.size(), get<uint32_t>(bytes, 8)))};
  }
  fact.state = static_cast<JobState>(state);
  return DecodedHead{std::move(fact), payload_bytes};
}

Result<std::string_view> decode_payload(Sequence sequence, std::string_view bytes, uint64_t seed) {
  TANDEM_ASSIGN(const size_t head_end, check_head(sequence, bytes, seed));
  const std::string_view payload = bytes.substr(head_end);
  const Hash128 hash = hash128(payload, seed);
  if (std::memcmp(hash.bytes.data(), &bytes[kPayloadHashAt], hash.bytes.size()) != 0) {
    return corrupt(sequence, "the payload's bytes are not those that were written (its hash differs)");
  }
  return payload;
}

}  // namespace tandem::broker
