// Reads msgpack values one after the other, each with the type and limit that the caller expects.
//
// Nothing is allocated: strings are views of the input, and there is no tree of values in between, so the
// hostile sizes a header may claim cost nothing. The first failure stays: after it every read gives zero or
// empty, and the caller looks at ok() once, at the end (and in loops).

#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/assert.h"
#include "shared/base/ids.h"
#include "shared/base/result.h"

namespace tandem {

class Reader {
 public:
  // `place` stands in front of every error: "submit". `bytes` outlives the reader.
  Reader(std::string_view bytes, std::string_view place);

  uint64_t number(uint64_t max = UINT64_MAX);
  double real(double min, double max);  // integers are taken, too; NaN and infinities are not
  bool boolean();
  std::string_view text(size_t bytes_min, size_t bytes_max);  // valid UTF-8
  JobId id();
  Error error();
  // The number of elements or entries, which follow. Never more than there are bytes left.
  size_t array(size_t max);
  size_t map(size_t max);
  void skip();  // one value, whatever it is, with all that is in it
  void end();   // nothing may be left

  bool ok() const { return error_.text.empty(); }
  const Error& failure() const { return error_; }
  // Keeps the first failure. The place goes in front.
  void fail(ErrorCode code, std::string text);

  // The names of what is being read, for errors: "submit.items[3].id". `name` outlives the scope.
  class Scope {
   public:
    Scope(Reader& reader, std::string_view name) : reader_(reader) { reader_.enter({name, 0}); }
    Scope(Reader& reader, size_t index) : reader_(reader) { reader_.enter({{}, index}); }
    ~Scope() { --reader_.depth_; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Reader& reader_;
  };

 private:
  enum class Type { kNil, kBool, kUnsigned, kNegative, kReal, kText, kBytes, kArray, kMap, kExtension };
  struct Token {
    Type type = Type::kNil;
    uint64_t number = 0;  // kBool, kUnsigned; elements of kArray, entries of kMap
    int64_t negative = 0;
    double real = 0;
    std::string_view data;  // kText, kBytes, kExtension
  };
  struct PathPart {
    std::string_view name;
    size_t index = 0;  // where `name` is empty
  };

  void enter(PathPart part) {
    TANDEM_ASSERT(depth_ < path_.size(), "what is read has no more levels than its reader's code");
    path_[depth_++] = part;
  }
  Token next();
  uint64_t big_endian(size_t n_bytes);
  std::string_view take(uint64_t n_bytes);
  void expected(const std::string& what, const Token& found);
  static std::string describe(const Token& token);

  std::string_view rest_;
  size_t n_bytes_;
  std::string_view place_;
  std::array<PathPart, 16> path_;
  size_t depth_ = 0;
  Error error_;
};

// Reads a map: calls `field(key)` for every entry, which reads the value and says true, or says false for a
// key that it does not know, whose value is then passed over: a newer sender may say more. A key that is
// there twice is an error.
template <typename Field>
void read_map(Reader& reader, size_t entries_max, Field&& field) {
  const size_t n_entries = reader.map(entries_max);
  std::vector<std::string_view> seen;
  for (size_t i = 0; i < n_entries && reader.ok(); ++i) {
    const std::string_view key = reader.text(0, 256);
    const Reader::Scope scope(reader, key);
    for (const std::string_view other : seen) {
      if (other == key) reader.fail(ErrorCode::kInvalid, "expected this key once, found it twice");
    }
    seen.push_back(key);
    if (reader.ok() && !field(key)) reader.skip();
  }
}

// Reads a list: calls `element(index)` for every element.
template <typename Element>
void read_array(Reader& reader, size_t elements_max, Element&& element) {
  const size_t n_elements = reader.array(elements_max);
  for (size_t i = 0; i < n_elements && reader.ok(); ++i) {
    const Reader::Scope scope(reader, i);
    element(i);
  }
}

}  // namespace tandem
