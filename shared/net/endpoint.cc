#include "shared/net/endpoint.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <charconv>
#include <filesystem>

namespace tandem {
namespace {

constexpr std::string_view kTcp = "tcp://", kIpc = "ipc://";
constexpr size_t kIpcPathBytesMax = sizeof(sockaddr_un::sun_path) - 1;

tl::unexpected<Error> bad(std::string_view text, const std::string& expected, const std::string& found) {
  return fail(ErrorCode::kInvalid, "endpoint '" + std::string(text.substr(0, 200)) + "': expected " +
                                       expected + ", found " + found);
}

bool is_ipv4(const std::string& host) {
  in_addr address{};
  return ::inet_pton(AF_INET, host.c_str(), &address) == 1;
}

bool is_ipv6(const std::string& host) {
  in6_addr address{};
  return ::inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || (is_ipv4(host) && host.starts_with("127."));
}

}  // namespace

std::string Endpoint::to_string() const {
  if (transport == Transport::kIpc) return std::string(kIpc) + path;
  const bool brackets = host.find(':') != std::string::npos;
  return std::string(kTcp) + (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool Endpoint::is_local() const {
  return transport == Transport::kIpc || is_loopback(host);
}

Result<Endpoint> parse_endpoint(std::string_view text) {
  Endpoint endpoint;
  if (text.find('\0') != std::string_view::npos) return bad(text, "an address", "a zero byte in it");

  if (text.starts_with(kIpc)) {
    endpoint.transport = Endpoint::Transport::kIpc;
    endpoint.path = text.substr(kIpc.size());
    if (endpoint.path.empty() || endpoint.path.ends_with('/')) {
      return bad(text, "a file name after ipc://", "none");
    }
    // ZeroMQ reads these two as "any name" and "not in the file system".
    if (endpoint.path == "*" || endpoint.path.starts_with('@')) {
      return bad(text, "a file name after ipc://", "'" + endpoint.path + "'");
    }
    if (endpoint.path.size() > kIpcPathBytesMax) {
      return bad(text,
                 "a path of at most " + std::to_string(kIpcPathBytesMax) +
                     " bytes, which is what the system allows for sockets",
                 std::to_string(endpoint.path.size()));
    }
    return endpoint;
  }

  if (text.starts_with(kTcp)) {
    const std::string_view address = text.substr(kTcp.size());
    const size_t colon = address.rfind(':');
    if (colon == std::string_view::npos) return bad(text, "tcp://host:port", "no port");
    std::string_view host = address.substr(0, colon);
    const std::string_view port = address.substr(colon + 1);
    if (host.starts_with('[') && host.ends_with(']')) {
      host = host.substr(1, host.size() - 2);
      if (!is_ipv6(std::string(host))) return bad(text, "an IPv6 address in the brackets", "something else");
    } else if (host.empty() || host.find_first_of(":/[] \t") != std::string_view::npos) {
      return bad(text, "tcp://host:port", "the host '" + std::string(host) + "'");
    }
    const auto [rest, failure] = std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
    if (port.empty() || failure != std::errc{} || rest != port.data() + port.size()) {
      return bad(text, "a port from 0 to 65535", "'" + std::string(port) + "'");
    }
    endpoint.host = host;
    return endpoint;
  }
  return bad(text, "tcp://host:port or ipc://path", "neither");
}

Result<void> check_bindable(const Endpoint& endpoint, bool with_keys) {
  if (endpoint.transport == Endpoint::Transport::kIpc) {
    const std::filesystem::path folder = std::filesystem::path(endpoint.path).parent_path();
    std::error_code ignored;
    if (!folder.empty() && !std::filesystem::is_directory(folder, ignored)) {
      return fail(ErrorCode::kNotFound, "endpoint '" + endpoint.to_string() + "': expected the folder " +
                                            folder.string() + ", found none");
    }
    return {};
  }
  if (is_loopback(endpoint.host)) return {};
  if (with_keys) {
    if (endpoint.host == "*" || is_ipv4(endpoint.host) || is_ipv6(endpoint.host)) return {};
    return fail(ErrorCode::kInvalid,
                "endpoint '" + endpoint.to_string() +
                    "': expected an address of this machine, or * for all of them, found the "
                    "name '" +
                    endpoint.host + "'");
  }
  return fail(ErrorCode::kInvalid,
              "endpoint '" + endpoint.to_string() +
                  "': expected ipc:// or a loopback address such as tcp://127.0.0.1:" +
                  std::to_string(endpoint.port) + ", found an address that other machines can reach; " +
                  "without keys only ipc:// and loopback may be bound (security.secret_key_file and "
                  "security.allow_file; `tandem keygen --help` tells how to make keys)");
}

}  // namespace tandem
