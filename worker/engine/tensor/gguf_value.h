// The values of a GGUF file's metadata.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tandem::engine {

// Numbers as the file has them.
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kText = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

// A list of numbers or texts; never of lists, which nobody writes and this reader refuses.
struct GgufArray {
  GgufType type = GgufType::kU8;
  size_t n = 0;
  std::span<const std::byte> bytes;     // of numbers
  std::vector<std::string_view> texts;  // of texts
};

// A value of the metadata. Texts point into the file's memory; they may be invalid UTF-8. Each function gives
// nothing where the value is of another kind.
class GgufValue {
 public:
  using Any = std::variant<uint64_t, int64_t, double, bool, std::string_view, GgufArray>;
  explicit GgufValue(Any value) : value_(std::move(value)) {}

  std::optional<uint64_t> count() const;  // an integer that is not negative
  std::optional<double> real() const;     // any number
  std::optional<bool> flag() const;
  std::optional<std::string_view> text() const;
  const std::vector<std::string_view>* texts() const;    // an array of texts; else nullptr
  std::optional<std::vector<int64_t>> integers() const;  // an array of integers below 2^63
  std::string shown() const;                             // short, for an error: "7", "'abc'", "a list of 9"

 private:
  Any value_;
};

// Bytes of one number or bool; 0 for texts and arrays.
size_t gguf_bytes(GgufType type);
// The number or bool that is stored at `bytes`.
GgufValue::Any gguf_number(GgufType type, const std::byte* bytes);

}  // namespace tandem::engine
