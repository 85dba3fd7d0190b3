// Numbers in stored bytes, little-endian on every machine.

#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

namespace tandem::semantic {

class ByteWriter {
 public:
  ByteWriter& u32(uint32_t number) { return put(number, 4); }
  ByteWriter& u64(uint64_t number) { return put(number, 8); }
  ByteWriter& f32(float number) { return put(std::bit_cast<uint32_t>(number), 4); }
  ByteWriter& f64(double number) { return put(std::bit_cast<uint64_t>(number), 8); }
  ByteWriter& raw(std::string_view bytes) {
    bytes_ += bytes;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  ByteWriter& put(uint64_t number, int n_bytes) {
    for (int i = 0; i < n_bytes; ++i) bytes_ += static_cast<char>(number >> (8 * i));
    return *this;
  }
  std::string bytes_;
};

// Past the end it gives zeros and failed() says so.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}
  uint32_t u32() { return static_cast<uint32_t>(get(4)); }
  uint64_t u64() { return get(8); }
  float f32() { return std::bit_cast<float>(u32()); }
  double f64() { return std::bit_cast<double>(u64()); }
  std::string_view raw(size_t n_bytes) {
    failed_ = failed_ || rest_.size() < n_bytes;
    if (failed_) return {};
    const std::string_view bytes = rest_.substr(0, n_bytes);
    rest_.remove_prefix(n_bytes);
    return bytes;
  }
  std::string_view rest() const { return rest_; }
  bool failed() const { return failed_; }

 private:
  uint64_t get(size_t n_bytes) {
    const std::string_view bytes = raw(n_bytes);
    uint64_t number = 0;
    for (size_t i = 0; i < bytes.size(); ++i) number |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
    return number;
  }
  std::string_view rest_;
  bool failed_ = false;
};

}  // namespace tandem::semantic
