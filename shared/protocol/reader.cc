#include "shared/protocol/reader.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <span>

#include "shared/base/limits.h"
#include "shared/base/utf8.h"

namespace tandem {

Reader::Reader(std::string_view bytes, std::string_view place)
    : rest_(bytes), n_bytes_(bytes.size()), place_(place), error_{ErrorCode::kInvalid, {}} {}

void Reader::fail(ErrorCode code, std::string text) {
  if (!ok()) return;
  std::string place(place_);
  for (const PathPart& part : std::span(path_).first(depth_)) {
    if (part.name.empty()) {
      place += '[' + std::to_string(part.index) + ']';
    } else {
      place += '.';
      place += part.name;
    }
  }
  error_ = {code, place + ": " + std::move(text)};
  rest_ = {};
}

void Reader::expected(const std::string& what, const Token& found) {
  fail(ErrorCode::kInvalid, "expected " + what + ", found " + describe(found));
}

std::string Reader::describe(const Token& token) {
  switch (token.type) {
    case Type::kNil:
      return "nil";
    case Type::kBool:
      return token.number != 0 ? "true" : "false";
    case Type::kUnsigned:
      return "the number " + std::to_string(token.number);
    case Type::kNegative:
      return "the number " + std::to_string(token.negative);
    case Type::kReal:
      return "the number " + std::to_string(token.real);
    case Type::kText:
      return "a string of " + std::to_string(token.data.size()) + " bytes";
    case Type::kBytes:
      return "binary data of " + std::to_string(token.data.size()) + " bytes";
    case Type::kArray:
      return "a list of " + std::to_string(token.number);
    case Type::kMap:
      return "a map of " + std::to_string(token.number);
    case Type::kExtension:
      return "an extension type";
  }
  return "something else";
}

std::string_view Reader::take(uint64_t n_bytes) {
  if (n_bytes > rest_.size()) {
    fail(ErrorCode::kInvalid, "expected " + std::to_string(n_bytes) + " more bytes, found " +
                                  std::to_string(rest_.size()) + " at the end of the message");
    return {};
  }
  const std::string_view taken = rest_.substr(0, n_bytes);
  rest_.remove_prefix(n_bytes);
  return taken;
}

uint64_t Reader::big_endian(size_t n_bytes) {
  uint64_t value = 0;
  for (const char byte : take(n_bytes)) value = value << 8 | static_cast<uint8_t>(byte);
  return value;
}

// The formats of https://github.com/msgpack/msgpack/blob/master/spec.md, in the order of their first byte.
Reader::Token Reader::next() {
  if (!ok()) return {};
  const std::string_view first = take(1);
  if (first.empty()) return {};
  const uint8_t lead = static_cast<uint8_t>(first[0]);

  const auto with_number = [](Type type, uint64_t number) {
    Token token;
    token.type = type;
    token.number = number;
    return token;
  };
  const auto with_data = [](Type type, std::string_view data) {
    Token token;
    token.type = type;
    token.data = data;
    return token;
  };
  const auto with_real = [](double real) {
    Token token;
    token.type = Type::kReal;
    token.real = real;
    return token;
  };
  const auto with_signed = [&](int64_t value) {
    if (value >= 0) return with_number(Type::kUnsigned, static_cast<uint64_t>(value));
    Token token;
    token.type = Type::kNegative;
    token.negative = value;
    return token;
  };

  if (lead <= 0x7f) return with_number(Type::kUnsigned, lead);
  if (lead <= 0x8f) return with_number(Type::kMap, lead & 0x0f);
  if (lead <= 0x9f) return with_number(Type::kArray, lead & 0x0f);
  if (lead <= 0xbf) return with_data(Type::kText, take(lead & 0x1f));
  if (lead >= 0xe0) return with_signed(static_cast<int8_t>(lead));
  switch (lead) {
    case 0xc0:
      return {};
    case 0xc2:
      return with_number(Type::kBool, 0);
    case 0xc3:
      return with_number(Type::kBool, 1);
    case 0xc4:
      return with_data(Type::kBytes, take(big_endian(1)));
    case 0xc5:
      return with_data(Type::kBytes, take(big_endian(2)));
    case 0xc6:
      return with_data(Type::kBytes, take(big_endian(4)));
    case 0xc7:
      return with_data(Type::kExtension, take(big_endian(1) + 1));
    case 0xc8:
      return with_data(Type::kExtension, take(big_endian(2) + 1));
    case 0xc9:
      return with_data(Type::kExtension, take(big_endian(4) + 1));
    case 0xca:
      return with_real(std::bit_cast<float>(static_cast<uint32_t>(big_endian(4))));
    case 0xcb:
      return with_real(std::bit_cast<double>(big_endian(8)));
    case 0xcc:
      return with_number(Type::kUnsigned, big_endian(1));
    case 0xcd:
      return with_number(Type::kUnsigned, big_endian(2));
    case 0xce:
      return with_number(Type::kUnsigned, big_endian(4));
    case 0xcf:
      return with_number(Type::kUnsigned, big_endian(8));
    case 0xd0:
      return with_signed(static_cast<int8_t>(big_endian(1)));
    case 0xd1:
      return with_signed(static_cast<int16_t>(big_endian(2)));
    case 0xd2:
      return with_signed(static_cast<int32_t>(big_endian(4)));
    case 0xd3:
      return with_signed(static_cast<int64_t>(big_endian(8)));
    case 0xd4:
      return with_data(Type::kExtension, take(2));
    case 0xd5:
      return with_data(Type::kExtension, take(3));
    case 0xd6:
      return with_data(Type::kExtension, take(5));
    case 0xd7:
      return with_data(Type::kExtension, take(9));
    case 0xd8:
      return with_data(Type::kExtension, take(17));
    case 0xd9:
      return with_data(Type::kText, take(big_endian(1)));
    case 0xda:
      return with_data(Type::kText, take(big_endian(2)));
    case 0xdb:
      return with_data(Type::kText, take(big_endian(4)));
    case 0xdc:
      return with_number(Type::kArray, big_endian(2));
    case 0xdd:
      return with_number(Type::kArray, big_endian(4));
    case 0xde:
      return with_number(Type::kMap, big_endian(2));
    case 0xdf:
      return with_number(Type::kMap, big_endian(4));
    default:
      break;  // 0xc1, which msgpack never uses
  }
  fail(ErrorCode::kInvalid, "expected a msgpack value, found the byte 0xc1");
  return {};
}

uint64_t Reader::number(uint64_t max) {
  const Token token = next();
  if (!ok()) return 0;
  if (token.type == Type::kUnsigned && token.number <= max) return token.number;
  expected("a whole number from 0 to " + std::to_string(max), token);
  return 0;
}

double Reader::real(double min, double max) {
  const Token token = next();
  if (!ok()) return 0;
  double value = NAN;
  if (token.type == Type::kReal) value = token.real;
  if (token.type == Type::kUnsigned) value = static_cast<double>(token.number);
  if (token.type == Type::kNegative) value = static_cast<double>(token.negative);
  if (value >= min && value <= max) return value;
  expected("a number from " + std::to_string(min) + " to " + std::to_string(max), token);
  return 0;
}

bool Reader::boolean() {
  const Token token = next();
  if (!ok()) return false;
  if (token.type != Type::kBool) expected("true or false", token);
  return token.number != 0 && ok();
}

std::string_view Reader::text(size_t bytes_min, size_t bytes_max) {
  const Token token = next();
  if (!ok()) return {};
  if (token.type != Type::kText) {
    expected("a string", token);
    return {};
  }
  if (token.data.size() < bytes_min) {
    expected("a string of at least " + std::to_string(bytes_min) + " bytes", token);
    return {};
  }
  if (token.data.size() > bytes_max) {
    fail(ErrorCode::kTooLong, "expected a string of at most " + std::to_string(bytes_max) + " bytes, found " +
                                  std::to_string(token.data.size()));
    return {};
  }
  if (const auto valid = check_utf8(token.data); !valid) {
    fail(ErrorCode::kInvalid, valid.error().text);
    return {};
  }
  return token.data;
}

JobId Reader::id() {
  JobId id;
  const Token token = next();
  if (!ok()) return id;
  if (token.type != Type::kBytes || token.data.size() != id.bytes.size()) {
    expected("a job id, binary data of 16 bytes", token);
    return id;
  }
  std::memcpy(id.bytes.data(), token.data.data(), id.bytes.size());
  return id;
}

Error Reader::error() {
  const size_t n_elements = array(64);
  if (ok() && n_elements < 2)
    fail(ErrorCode::kInvalid, "expected an error, [code, text], found fewer elements");
  Error error;
  const uint64_t code = number(UINT8_MAX);
  if (ok() && code == 0) fail(ErrorCode::kInvalid, "expected an error code from 1, found 0");
  // A code that this build does not know comes from a newer one; the text still says what is wrong.
  error.code = error_code_from(code).value_or(ErrorCode::kInternal);
  error.text = text(0, limits::kErrorTextBytesMax);
  for (size_t i = 2; i < n_elements && ok(); ++i) skip();
  return error;
}

size_t Reader::array(size_t max) {
  const Token token = next();
  if (!ok()) return 0;
  if (token.type != Type::kArray) {
    expected("a list", token);
  } else if (token.number > max) {
    fail(ErrorCode::kTooLong,
         "expected a list of at most " + std::to_string(max) + ", found " + std::to_string(token.number));
  } else if (token.number > rest_.size()) {
    fail(ErrorCode::kInvalid, "expected a list of " + std::to_string(token.number) + ", found only " +
                                  std::to_string(rest_.size()) + " more bytes");
  }
  return ok() ? token.number : 0;
}

size_t Reader::map(size_t max) {
  const Token token = next();
  if (!ok()) return 0;
  if (token.type != Type::kMap) {
    expected("a map", token);
  } else if (token.number > max) {
    fail(ErrorCode::kTooLong, "expected a map of at most " + std::to_string(max) + " entries, found " +
                                  std::to_string(token.number));
  } else if (token.number * 2 > rest_.size()) {
    fail(ErrorCode::kInvalid, "expected a map of " + std::to_string(token.number) + " entries, found only " +
                                  std::to_string(rest_.size()) + " more bytes");
  }
  return ok() ? token.number : 0;
}

// A count of what is still to come instead of recursion: nesting costs the sender a byte a level, and us
// nothing.
void Reader::skip() {
  uint64_t pending = 1;
  while (pending > 0 && ok()) {
    const Token token = next();
    --pending;
    if (token.type == Type::kArray) pending += token.number;
    if (token.type == Type::kMap) pending += 2 * token.number;
  }
}

void Reader::end() {
  if (!ok() || rest_.empty()) return;
  fail(ErrorCode::kInvalid, "expected the end after " + std::to_string(n_bytes_ - rest_.size()) +
                                " bytes, found " + std::to_string(rest_.size()) + " more");
}

}  // namespace tandem
