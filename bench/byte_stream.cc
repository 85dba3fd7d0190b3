#include "bench/byte_stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <thread>
#include <utility>

#include "shared/base/assert.h"

namespace tandem::bench {
namespace {

using namespace std::chrono_literals;
constexpr size_t kReadBytes = 1u << 20;

// An open connection, or -1 when nobody listens until `at_most` is over.
template <typename Address>
int connect_to(const Address& address, std::chrono::milliseconds at_most) {
  const auto until = std::chrono::steady_clock::now() + at_most;
  for (;;) {
    const int fd =
        ::socket(reinterpret_cast<const sockaddr*>(&address)->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
    if (fd >= 0) ::close(fd);
    if (std::chrono::steady_clock::now() >= until) return -1;
    std::this_thread::sleep_for(10ms);
  }
}

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

}  // namespace

Result<ByteStream> ByteStream::connect_unix(const std::filesystem::path& path,
                                            std::chrono::milliseconds at_most) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  TANDEM_ASSERT(path.string().size() < sizeof address.sun_path, "temporary folders have short names");
  std::strcpy(address.sun_path, path.c_str());
  const int fd = connect_to(address, at_most);
  if (fd < 0) return fail(ErrorCode::kUnavailable, "expected a server at " + path.string() + ", found none");
  return ByteStream(fd);
}

Result<ByteStream> ByteStream::connect_loopback(uint16_t port, std::chrono::milliseconds at_most) {
  const int fd = connect_to(loopback(port), at_most);
  if (fd < 0) {
    return fail(ErrorCode::kUnavailable,
                "expected a server at 127.0.0.1:" + std::to_string(port) + ", found none");
  }
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return ByteStream(fd);
}

ByteStream::ByteStream(ByteStream&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      buffer_(std::move(other.buffer_)),
      begin_(other.begin_),
      end_(other.end_) {}

ByteStream::~ByteStream() {
  if (fd_ >= 0) ::close(fd_);
}

void ByteStream::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    TANDEM_ASSERT(n > 0 || errno == EINTR, "the server lives as long as its connections");
    if (n > 0) bytes.remove_prefix(static_cast<size_t>(n));
  }
}

bool ByteStream::fill(std::chrono::milliseconds at_most) {
  pollfd waiting{fd_, POLLIN, 0};
  if (::poll(&waiting, 1, static_cast<int>(at_most.count())) <= 0) return false;
  if (begin_ == end_) begin_ = end_ = 0;
  if (buffer_.size() - end_ < kReadBytes) {
    buffer_.erase(0, begin_);
    end_ -= std::exchange(begin_, 0);
    if (buffer_.size() - end_ < kReadBytes) buffer_.resize(end_ + 2 * kReadBytes);
  }
  const ssize_t n = ::recv(fd_, buffer_.data() + end_, kReadBytes, 0);
  TANDEM_ASSERT(n > 0 || (n < 0 && errno == EINTR), "the server lives as long as its connections");
  if (n > 0) end_ += static_cast<size_t>(n);
  return n > 0;
}

uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  TANDEM_ASSERT(::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0,
                "some port of loopback is free");
  ::close(fd);
  return ntohs(address.sin_port);
}

std::filesystem::path find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(std::string(path != nullptr ? path : "") + ":/usr/bin:/usr/sbin:/usr/local/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::filesystem::path program = std::filesystem::path(folder) / name;
    if (!folder.empty() && ::access(program.c_str(), X_OK) == 0) return program;
  }
  return {};
}

}  // namespace tandem::bench
