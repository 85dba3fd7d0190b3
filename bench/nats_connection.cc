#include "bench/nats_connection.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <utility>

#include "shared/base/assert.h"

namespace tandem::bench {
namespace {

using namespace std::chrono_literals;

// The words of a line, at most 6; unused ones are empty.
std::array<std::string_view, 6> words_of(std::string_view line) {
  std::array<std::string_view, 6> words;
  for (std::string_view& word : words) {
    const size_t end = std::min(line.find(' '), line.size());
    word = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

size_t to_number(std::string_view digits) {
  size_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

}  // namespace

Result<NatsConnection> NatsConnection::connect(uint16_t port) {
  TANDEM_ASSIGN(ByteStream stream, ByteStream::connect_loopback(port, 10s));
  NatsConnection nats(std::move(stream));
  nats.outgoing_ = R"(CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true})"
                   "\r\n";
  nats.flush();
  return nats;
}

void NatsConnection::publish(std::string_view subject, std::string_view reply_to, std::string_view payload) {
  outgoing_ += "PUB ";
  outgoing_ += subject;
  outgoing_ += ' ';
  outgoing_ += reply_to;
  outgoing_ += reply_to.empty() ? "" : " ";
  outgoing_ += std::to_string(payload.size());
  outgoing_ += "\r\n";
  outgoing_ += payload;
  outgoing_ += "\r\n";
}

void NatsConnection::subscribe(std::string_view subject, char subscription) {
  outgoing_ += "SUB " + std::string(subject) + " " + subscription + "\r\n";
}

void NatsConnection::flush() {
  if (outgoing_.empty()) return;
  stream_.send(outgoing_);
  outgoing_.clear();
}

bool NatsConnection::receive(NatsMessage& message, std::chrono::milliseconds at_most) {
  stream_.consume(std::exchange(n_consumed_late_, 0));
  for (;;) {
    switch (parse(message)) {
      case Parsed::kMessage:
        return true;
      case Parsed::kControl:
        break;
      case Parsed::kNothing:
        if (!stream_.fill(at_most)) return false;
    }
  }
}

void NatsConnection::ask(std::string_view subject, std::string_view json) {
  subscribe("answers", 'a');
  publish(subject, "answers", json);
  outgoing_ += "UNSUB a 1\r\n";
  flush();
  NatsMessage answer;
  TANDEM_ASSERT(receive(answer, 10s), "a server that does nothing else answers");
  const bool good = !answer.status && answer.payload.find("\"error\"") == std::string_view::npos;
  if (!good) std::fprintf(stderr, "bench: nats: %s\n", std::string(answer.payload).c_str());
  TANDEM_ASSERT(good, "questions are such as this version understands");
}

NatsConnection::Parsed NatsConnection::parse(NatsMessage& message) {
  const std::string_view unread = stream_.unread();
  const size_t end = unread.find("\r\n");
  if (end == std::string_view::npos) return Parsed::kNothing;
  const std::string_view line = unread.substr(0, end);
  const size_t n_line = end + 2;

  // MSG subject subscription [reply_to] n_bytes, or HMSG subject subscription [reply_to] n_header_bytes
  // n_bytes
  const bool with_headers = line.starts_with("HMSG ");
  if (with_headers || line.starts_with("MSG ")) {
    const auto words = words_of(line);
    const size_t n_words = static_cast<size_t>(std::find(words.begin(), words.end(), "") - words.begin());
    const size_t n_bytes = to_number(words[n_words - 1]);
    if (unread.size() < n_line + n_bytes + 2) return Parsed::kNothing;
    const size_t n_header = with_headers ? to_number(words[n_words - 2]) : 0;
    const bool answerable = n_words == (with_headers ? 6 : 5);
    message.subscription = words[2].at(0);
    message.reply_to = answerable ? words[3] : std::string_view();
    message.status = with_headers && !answerable;
    message.payload = unread.substr(n_line + n_header, n_bytes - n_header);
    n_consumed_late_ = n_line + n_bytes + 2;
    return Parsed::kMessage;
  }
  if (line == "PING") stream_.send("PONG\r\n");
  if (line.starts_with("-ERR")) std::fprintf(stderr, "bench: nats: %s\n", std::string(line).c_str());
  TANDEM_ASSERT(!line.starts_with("-ERR"), "what is sent follows the protocol");
  stream_.consume(n_line);
  return Parsed::kControl;
}

}  // namespace tandem::bench
