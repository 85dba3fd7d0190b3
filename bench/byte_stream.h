// A connection to another program's server, for benches that speak its protocol.

#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "shared/base/result.h"

namespace tandem::bench {

// One thread. A connection that breaks ends the benchmark.
class ByteStream {
 public:
  // Tries again until `at_most` is over: the server may just be starting. kUnavailable then.
  static Result<ByteStream> connect_unix(const std::filesystem::path& path,
                                         std::chrono::milliseconds at_most);
  static Result<ByteStream> connect_loopback(uint16_t port, std::chrono::milliseconds at_most);
  ByteStream(ByteStream&& other) noexcept;
  ByteStream& operator=(ByteStream&&) = delete;
  ~ByteStream();

  // All of it; waits while the server does not read.
  void send(std::string_view bytes);
  // Reads what has come, and waits for it at most so long. False when nothing came.
  bool fill(std::chrono::milliseconds at_most);
  // What was read and not consumed; valid until the next fill().
  std::string_view unread() const { return std::string_view(buffer_).substr(begin_, end_ - begin_); }
  void consume(size_t n_bytes) { begin_ += n_bytes; }

 private:
  explicit ByteStream(int fd) : fd_(fd) {}

  int fd_;
  std::string buffer_;
  size_t begin_ = 0, end_ = 0;
};

// Of loopback, free a moment ago.
uint16_t free_port();
// Where PATH or a folder of system programs has it; empty when it is not installed.
std::filesystem::path find_program(const std::string& name);

}  // namespace tandem::bench
