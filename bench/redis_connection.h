// As much of Redis's protocol (RESP 2) as the bench of queues needs.

#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/byte_stream.h"

namespace tandem::bench {

// A reply, nested lists made flat: a stream's entries are id, field, value, id, field, value and so on.
struct RedisReply {
  char type = 0;  // '+', '-', ':', '$' or '*' of the outermost
  std::vector<std::string_view>
      leaves;  // texts and numbers, valid until the next receive(); nothing for null
};

// One thread. An error reply ends the benchmark.
class RedisConnection {
 public:
  explicit RedisConnection(ByteStream stream) : stream_(std::move(stream)) {}

  // Adds to what flush() sends in one piece.
  void add(std::span<const std::string_view> command);
  void add(std::initializer_list<std::string_view> command) {
    add(std::span(command.begin(), command.size()));
  }
  void flush();
  // The next reply in order; false when it is not there within `at_most`, and the next call goes on with it.
  bool receive(RedisReply& reply, std::chrono::milliseconds at_most);
  // One command and its reply.
  void run(std::initializer_list<std::string_view> command);

 private:
  bool parse_token(char& type);

  ByteStream stream_;
  std::string outgoing_;
  // The reply that is being read: how far, what is missing, and its leaves as places in the unread bytes.
  size_t n_read_ = 0, n_missing_ = 1, n_consumed_late_ = 0;
  char type_ = 0;
  struct Place {
    size_t begin, size;
  };
  std::vector<Place> places_;
};

}  // namespace tandem::bench
