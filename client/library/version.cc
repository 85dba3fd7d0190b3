#include "client/library/version.h"

#include <charconv>

namespace tandem {
namespace {

constexpr std::string_view kExpected = "expected protocol version ";
constexpr std::string_view kFound = ", found ";

struct Versions {
  uint32_t expected = 0, found = 0;
};

std::optional<Versions> parse(const Error& error) {
  const std::string_view text = error.text;
  if (error.code != ErrorCode::kUnsupported || !text.starts_with(kExpected)) return {};
  Versions versions;
  const char* const end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data() + kExpected.size(), end, versions.expected);
  if (failure != std::errc{} || !std::string_view(rest, end).starts_with(kFound)) return {};
  if (std::from_chars(rest + kFound.size(), end, versions.found).ec != std::errc{}) return {};
  return versions;
}

}  // namespace

std::optional<uint32_t> other_version(const Error& error) {
  const auto versions = parse(error);
  if (!versions || versions->expected == kProtocolVersion) return {};
  return versions->expected;
}

std::optional<Refused> refused_version(const Error& error) {
  const auto versions = parse(error);
  if (!versions || versions->expected != kProtocolVersion) return {};
  return Refused{0,
                 {ErrorCode::kUnsupported, std::string(kExpected) + std::to_string(versions->found) +
                                               std::string(kFound) + std::to_string(kProtocolVersion)}};
}

Error version_error(uint32_t theirs, const std::string& endpoint) {
  const bool they_are_older = theirs < kProtocolVersion;
  return {ErrorCode::kUnsupported,
          "the broker at " + endpoint + " speaks version " + std::to_string(theirs) +
              " of the protocol, this program version " + std::to_string(kProtocolVersion) + ": " +
              (they_are_older ? "the broker" : "this program") + " is the older one and is to be replaced"};
}

}  // namespace tandem
