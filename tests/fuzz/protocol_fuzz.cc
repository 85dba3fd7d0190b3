// Whatever bytes arrive, decoding answers with a message or an error: it does not crash, hang or run out of
// memory, and what it accepts survives being written and read again.
//
// An input is: kind (200: a request, 201: a result, 202: a part), size of the payload frame, envelope,
// payload.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "shared/protocol/frames.h"
#include "shared/protocol/job.h"

namespace tandem {
namespace {

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "protocol_fuzz: expected that %s\n", what);
  std::abort();
}

void decode_once(std::string_view data) {
  if (data.size() < 2) return;
  const uint8_t kind = static_cast<uint8_t>(data[0]);
  const size_t payload_bytes = static_cast<uint8_t>(data[1]);
  const std::string_view bytes = data.substr(2);
  switch (kind) {
    case 200: {
      const auto request = decode_job_request(bytes);
      if (request)
        check(decode_job_request(encode(*request)) == *request, "a request is read as it was written");
      return;
    }
    case 201: {
      const auto result = decode_job_result(bytes);
      if (result) check(decode_job_result(encode(*result)) == *result, "a result is read as it was written");
      return;
    }
    case 202: {
      const auto part = decode_job_part(bytes);
      if (part) check(decode_job_part(encode(*part)) == *part, "a part is read as it was written");
      return;
    }
    default:
      break;
  }
  const char head[2] = {static_cast<char>(kProtocolVersion), static_cast<char>(kind)};
  const size_t split = bytes.size() - std::min(bytes.size(), payload_bytes);
  const auto message = decode({head, 2}, bytes.substr(0, split), bytes.substr(split));
  if (!message) {
    check(!message.error().text.empty(), "an error has a text");
    return;
  }
  const Frames frames = encode(*message);
  check(decode(frames.head, frames.envelope, frames.payload) == *message,
        "a message is read as it was written");
}

}  // namespace
}  // namespace tandem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
  tandem::decode_once({reinterpret_cast<const char*>(data), n_bytes});
  return 0;
}
