// Whatever bytes are in the journal, a fact is read or refused: no crash, and what is read is what those
// bytes say, byte by byte. Hashes would turn away nearly every input at the first look, so half of them get
// the right ones.
//
// An input is: how (even: as it is; odd: with its hashes made right), the fact.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "broker/fact_codec.h"

namespace tandem::broker {
namespace {

constexpr uint64_t kSeed = 17;
constexpr Sequence kSequence = 5;
constexpr size_t kHeadBytes = 88, kPayloadHashAt = 48, kHeadHashAt = 80;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fact_fuzz: expected that %s\n", what);
  std::abort();
}

void put_number(std::string& bytes, size_t at, uint64_t number) {
  for (size_t i = 0; i < 8; ++i) bytes[at + i] = static_cast<char>(number >> (8 * i));
}

// As fact_codec.h says, from the sizes that the bytes claim.
void mend(std::string& bytes) {
  if (bytes.size() < kHeadBytes) return;
  const auto byte = [&](size_t at) { return static_cast<size_t>(static_cast<uint8_t>(bytes[at])); };
  const auto number = [&](size_t at) {
    return byte(at) | byte(at + 1) << 8 | byte(at + 2) << 16 | byte(at + 3) << 24;
  };
  const size_t head_end = kHeadBytes + byte(1) + (byte(0) == 2 ? number(8) : 0);
  if (head_end > bytes.size()) return;
  const size_t n_payload = bytes.size() - head_end;
  for (size_t i = 0; i < 4; ++i) bytes[12 + i] = static_cast<char>(n_payload >> (8 * i));
  const Hash128 payload = hash128(std::string_view(bytes).substr(head_end), kSeed);
  std::memcpy(&bytes[kPayloadHashAt], payload.bytes.data(), payload.bytes.size());
  put_number(bytes, kHeadHashAt, kSequence);
  put_number(bytes, kHeadHashAt, hash128(std::string_view(bytes).substr(0, head_end), kSeed).low64());
}

void read_once(std::string bytes, bool mended) {
  if (mended) mend(bytes);
  const auto head = decode_head(kSequence, bytes, kSeed);
  const auto payload = decode_payload(kSequence, bytes, kSeed);
  if (!head) {
    check(!head.error().text.empty(), "an error has a text");
    return;
  }
  std::visit(
      [&](auto fact) {
        check(head->payload_bytes <= bytes.size(), "a payload is within the fact");
        if (!payload) return;
        check(payload->size() == head->payload_bytes, "head and payload agree");
        fact.payload = *payload;
        std::string again(encoded_bytes(fact), '\0');
        encode(fact, kSeed, again.data());
        const auto reread = decode_head(kSequence, again, kSeed);
        fact.payload = {};
        check(reread && std::get<decltype(fact)>(reread->fact) == fact, "a fact is read as it was written");
        check(std::holds_alternative<AcceptedFact>(head->fact) == (bytes[0] == 1),
              "the kind is the one that was asked");
      },
      head->fact);
}

}  // namespace
}  // namespace tandem::broker

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
  if (n_bytes == 0) return 0;
  tandem::broker::read_once({reinterpret_cast<const char*>(data) + 1, n_bytes - 1}, data[0] % 2 == 1);
  return 0;
}
