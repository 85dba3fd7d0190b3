#include "broker/fact_codec.h"

#include <cstring>
#include <utility>

#include "shared/base/hash.h"

namespace tandem::broker {
namespace {

constexpr size_t kHeadBytes = 64;
constexpr size_t kPayloadHashAt = 48;
constexpr size_t kHeadHashAt = 56;
constexpr uint8_t kAcceptedKind = 1;
constexpr uint8_t kFinishedKind = 2;

template <typename T>
void put(std::string& bytes, size_t at, T number) {
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

// `bytes` hold the head and texts, filled but for the hashes.
void seal(std::string& bytes, Sequence sequence, const std::string& payload) {
  put<uint64_t>(bytes, kPayloadHashAt, hash128(payload).low64());
  put<uint64_t>(bytes, kHeadHashAt, sequence);
  put<uint64_t>(bytes, kHeadHashAt, hash128(bytes).low64());
  bytes += payload;
}

tl::unexpected<Error> corrupt(Sequence sequence, const std::string& text) {
  return fail(ErrorCode::kCorrupt, "fact " + std::to_string(sequence) + ": " + text);
}

// Where the payload begins, when everything before it is as it was written.
Result<size_t> check_head(Sequence sequence, std::string_view bytes) {
  if (bytes.size() < kHeadBytes) {
    return corrupt(sequence, "expected a head of 64 bytes, found " + std::to_string(bytes.size()));
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
  std::string head(bytes.substr(0, head_end));
  put<uint64_t>(head, kHeadHashAt, sequence);
  if (hash128(head).low64() != get<uint64_t>(bytes, kHeadHashAt)) {
    return corrupt(sequence, "the head's bytes are not those that were written (its hash differs)");
  }
  return head_end;
}

}  // namespace

std::string encode(const AcceptedFact& fact) {
  std::string bytes;
  bytes.reserve(kHeadBytes + fact.client.size() + fact.payload.size());
  bytes.resize(kHeadBytes);
  put<uint8_t>(bytes, 0, kAcceptedKind);
  put<uint8_t>(bytes, 1, static_cast<uint8_t>(fact.client.size()));
  put<uint32_t>(bytes, 4, fact.cost);
  put<uint32_t>(bytes, 8, fact.attempts_max);
  put<uint32_t>(bytes, 12, static_cast<uint32_t>(fact.payload.size()));
  put<uint64_t>(bytes, 16, fact.route);
  put<int64_t>(bytes, 24, fact.wall_ms);
  std::memcpy(&bytes[32], fact.id.bytes.data(), fact.id.bytes.size());
  bytes += fact.client;
  seal(bytes, fact.sequence, fact.payload);
  return bytes;
}

std::string encode(const FinishedFact& fact) {
  std::string bytes;
  bytes.reserve(kHeadBytes + fact.worker.size() + fact.error.text.size() + fact.payload.size());
  bytes.resize(kHeadBytes);
  const bool is_failed = fact.state == JobState::kFailed;
  put<uint8_t>(bytes, 0, kFinishedKind);
  put<uint8_t>(bytes, 1, static_cast<uint8_t>(fact.worker.size()));
  put<uint8_t>(bytes, 2, static_cast<uint8_t>(fact.state));
  put<uint8_t>(bytes, 3, is_failed ? static_cast<uint8_t>(fact.error.code) : uint8_t{0});
  put<uint32_t>(bytes, 4, fact.attempt);
  put<uint32_t>(bytes, 8, static_cast<uint32_t>(fact.error.text.size()));
  put<uint32_t>(bytes, 12, static_cast<uint32_t>(fact.payload.size()));
  put<uint64_t>(bytes, 16, fact.accepted);
  put<int64_t>(bytes, 24, fact.wall_ms);
  std::memcpy(&bytes[32], fact.id.bytes.data(), fact.id.bytes.size());
  bytes += fact.worker;
  bytes += fact.error.text;
  seal(bytes, fact.sequence, fact.payload);
  return bytes;
}

Result<DecodedHead> decode_head(Sequence sequence, std::string_view bytes) {
  TANDEM_ASSIGN(const size_t head_end, check_head(sequence, bytes));
  const size_t payload_bytes = bytes.size() - head_end;
  const std::string_view name = bytes.substr(kHeadBytes, get<uint8_t>(bytes, 1));
  JobId id;
  std::memcpy(id.bytes.data(), &bytes[32], id.bytes.size());

  if (get<uint8_t>(bytes, 0) == kAcceptedKind) {
    AcceptedFact fact;
    fact.sequence = sequence;
    fact.id = id;
    fact.client = name;
    fact.route = get<uint64_t>(bytes, 16);
    fact.cost = get<uint32_t>(bytes, 4);
    fact.attempts_max = get<uint32_t>(bytes, 8);
    fact.wall_ms = get<int64_t>(bytes, 24);
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
  if (state == static_cast<uint8_t>(JobState::kFailed)) {
    const auto code = error_code_from(get<uint8_t>(bytes, 3));
    if (!code) return corrupt(sequence, "unknown error code " + std::to_string(get<uint8_t>(bytes, 3)));
    fact.error = {*code, std::string(bytes.substr(kHeadBytes + name.size(), get<uint32_t>(bytes, 8)))};
  } else if (state != static_cast<uint8_t>(JobState::kDone)) {
    return corrupt(sequence, "expected state 3 or 4, found " + std::to_string(state));
  }
  fact.state = static_cast<JobState>(state);
  return DecodedHead{std::move(fact), payload_bytes};
}

Result<std::string_view> decode_payload(Sequence sequence, std::string_view bytes) {
  TANDEM_ASSIGN(const size_t head_end, check_head(sequence, bytes));
  const std::string_view payload = bytes.substr(head_end);
  if (hash128(payload).low64() != get<uint64_t>(bytes, kPayloadHashAt)) {
    return corrupt(sequence, "the payload's bytes are not those that were written (its hash differs)");
  }
  return payload;
}

}  // namespace tandem::broker
