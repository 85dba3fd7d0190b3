#include "worker/engine/tensor/gguf_value.h"

#include <bit>
#include <cstring>

#include "shared/base/utf8.h"

namespace tandem::engine {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is little-endian, and so is this reader");

template <typename T>
T load(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

}  // namespace

size_t gguf_bytes(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kI16:
      return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32:
      return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64:
      return 8;
    case GgufType::kText:
    case GgufType::kArray:
      break;
  }
  return 0;
}

GgufValue::Any gguf_number(GgufType type, const std::byte* bytes) {
  switch (type) {
    case GgufType::kU8:
      return uint64_t{load<uint8_t>(bytes)};
    case GgufType::kU16:
      return uint64_t{load<uint16_t>(bytes)};
    case GgufType::kU32:
      return uint64_t{load<uint32_t>(bytes)};
    case GgufType::kU64:
      return load<uint64_t>(bytes);
    case GgufType::kI8:
      return int64_t{load<int8_t>(bytes)};
    case GgufType::kI16:
      return int64_t{load<int16_t>(bytes)};
    case GgufType::kI32:
      return int64_t{load<int32_t>(bytes)};
    case GgufType::kI64:
      return load<int64_t>(bytes);
    case GgufType::kF32:
      return double{load<float>(bytes)};
    case GgufType::kF64:
      return load<double>(bytes);
    default:
      return load<uint8_t>(bytes) != 0;
  }
}

std::optional<uint64_t> GgufValue::count() const {
  if (const auto* n = std::get_if<uint64_t>(&value_)) return *n;
  if (const auto* n = std::get_if<int64_t>(&value_); n != nullptr && *n >= 0)
    return static_cast<uint64_t>(*n);
  return std::nullopt;
}
std::optional<double> GgufValue::real() const {
  if (const auto* n = std::get_if<double>(&value_)) return *n;
  if (const auto* n = std::get_if<uint64_t>(&value_)) return static_cast<double>(*n);
  if (const auto* n = std::get_if<int64_t>(&value_)) return static_cast<double>(*n);
  return std::nullopt;
}
std::optional<bool> GgufValue::flag() const {
  const auto* value = std::get_if<bool>(&value_);
  return value == nullptr ? std::nullopt : std::optional(*value);
}
std::optional<std::string_view> GgufValue::text() const {
  const auto* value = std::get_if<std::string_view>(&value_);
  return value == nullptr ? std::nullopt : std::optional(*value);
}
const std::vector<std::string_view>* GgufValue::texts() const {
  const auto* array = std::get_if<GgufArray>(&value_);
  return array == nullptr || array->type != GgufType::kText ? nullptr : &array->texts;
}
std::optional<std::vector<int64_t>> GgufValue::integers() const {
  const auto* array = std::get_if<GgufArray>(&value_);
  if (array == nullptr || array->type == GgufType::kText) return std::nullopt;
  std::vector<int64_t> all;
  all.reserve(array->n);
  for (size_t i = 0; i < array->n; ++i) {
    const Any one = gguf_number(array->type, array->bytes.data() + i * gguf_bytes(array->type));
    if (const auto* n = std::get_if<int64_t>(&one)) {
      all.push_back(*n);
    } else if (const auto* u = std::get_if<uint64_t>(&one); u != nullptr && *u <= INT64_MAX) {
      all.push_back(static_cast<int64_t>(*u));
    } else {
      return std::nullopt;
    }
  }
  return all;
}
std::string GgufValue::shown() const {
  if (const auto* value = std::get_if<uint64_t>(&value_)) return std::to_string(*value);
  if (const auto* value = std::get_if<int64_t>(&value_)) return std::to_string(*value);
  if (const auto* value = std::get_if<double>(&value_)) return std::to_string(*value);
  if (const auto* value = std::get_if<bool>(&value_)) return *value ? "true" : "false";
  if (const auto* value = std::get_if<std::string_view>(&value_))
    return "'" + utf8_lossy(value->substr(0, 80)) + (value->size() > 80 ? "...'" : "'");
  return "a list of " + std::to_string(std::get<GgufArray>(value_).n);
}

}  // namespace tandem::engine
