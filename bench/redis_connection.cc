#include "bench/redis_connection.h"

#include <charconv>
#include <cstdio>

#include "shared/base/assert.h"

namespace tandem::bench {

using namespace std::chrono_literals;

void RedisConnection::add(std::span<const std::string_view> command) {
  outgoing_ += "*" + std::to_string(command.size()) + "\r\n";
  for (const std::string_view word : command) {
    outgoing_ += "$" + std::to_string(word.size()) + "\r\n";
    outgoing_ += word;
    outgoing_ += "\r\n";
  }
}

void RedisConnection::flush() {
  stream_.send(outgoing_);
  outgoing_.clear();
}

bool RedisConnection::receive(RedisReply& reply, std::chrono::milliseconds at_most) {
  stream_.consume(std::exchange(n_consumed_late_, 0));
  while (n_missing_ > 0) {
    char type = 0;
    if (!parse_token(type)) {
      if (!stream_.fill(at_most)) return false;
      continue;
    }
    if (type_ == 0) type_ = type;
  }
  const std::string_view unread = stream_.unread();
  reply.type = type_;
  reply.leaves.clear();
  for (const Place& place : places_) reply.leaves.push_back(unread.substr(place.begin, place.size));
  if (reply.type == '-') std::fprintf(stderr, "bench: redis: %s\n", std::string(reply.leaves.at(0)).c_str());
  TANDEM_ASSERT(reply.type != '-', "commands are such as this version understands");
  n_consumed_late_ = n_read_;  // the leaves are views of it
  n_read_ = 0, n_missing_ = 1, type_ = 0;
  places_.clear();
  return true;
}

void RedisConnection::run(std::initializer_list<std::string_view> command) {
  add(command);
  flush();
  RedisReply reply;
  TANDEM_ASSERT(receive(reply, 10s), "a server that does nothing else answers");
}

// One line, with the text behind it if it announces one. False when it has not come whole.
bool RedisConnection::parse_token(char& type) {
  const std::string_view unread = stream_.unread();
  const size_t end = unread.find('\r', n_read_);
  if (end == std::string_view::npos || end + 2 > unread.size()) return false;
  type = unread[n_read_];
  const size_t begin = n_read_ + 1;
  long number = 0;
  if (type == '$' || type == '*') std::from_chars(unread.data() + begin, unread.data() + end, number);

  size_t n_read = end + 2, n_elements = 0;
  if (type == '*') {
    n_elements = number > 0 ? static_cast<size_t>(number) : 0;
  } else if (type != '$') {
    places_.push_back({begin, end - begin});
  } else if (number >= 0) {
    const size_t size = static_cast<size_t>(number);
    if (n_read + size + 2 > unread.size()) return false;
    places_.push_back({n_read, size});
    n_read += size + 2;
  }
  n_read_ = n_read;
  n_missing_ += n_elements;
  --n_missing_;
  return true;
}

}  // namespace tandem::bench
