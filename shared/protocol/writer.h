// Appends msgpack values to a string, in the shortest form of each, so that equal values give equal bytes.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "shared/base/error.h"

namespace tandem {

class Writer {
 public:
  void number(uint64_t value);
  void real(double value);
  void boolean(bool value);
  void text(std::string_view value);
  void bytes(std::string_view value);
  void array(size_t n_elements);  // the elements follow
  void map(size_t n_entries);     // key, value, key, value... follow

  void raw(std::string_view encoded);  // a value that is written already

  // [code, text]. The text is cut to limits::kErrorTextBytesMax and made valid UTF-8: an error may quote
  // what was wrong with somebody's input, and a message must never be refused for its error text.
  void error(const Error& error);

  const std::string& written() const { return out_; }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

}  // namespace tandem
