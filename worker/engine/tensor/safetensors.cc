#include "worker/engine/tensor/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "shared/base/limits.h"
#include "worker/engine/tensor/element_type.h"

namespace tandem::engine {
namespace {

using Json = nlohmann::json;

constexpr size_t kDimensionsMax = 8;
constexpr size_t kShownBytesMax = 160;  // of a name or value from the file, in an error
constexpr int kDepthMax = 8;            // the header's own nesting is 3

std::string clipped(std::string text) {
  if (text.size() > kShownBytesMax) text = text.substr(0, kShownBytesMax) + "...";
  return text;
}
std::string shown(const Json& value) {
  return clipped(value.dump(-1, ' ', true, Json::error_handler_t::replace));
}
std::string in_quotes(const std::string& name) {
  return "'" + clipped(name) + "'";
}

tl::unexpected<Error> corrupt(std::string text) {
  return fail(ErrorCode::kCorrupt, std::move(text));
}

constexpr char kTooDeep[] = "header: expected tensors and their fields, found deeper nesting";

// nlohmann keeps the last of two equal keys without a word, so the keys are watched while parsing.
Result<Json> parse_header(std::string_view text) {
  std::set<std::string> names;
  std::string twice;
  bool too_deep = false;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
    if (depth > kDepthMax) too_deep = true;
    if (depth == 1 && event == Json::parse_event_t::key) {
      if (!names.insert(value.get<std::string>()).second && twice.empty()) twice = value.get<std::string>();
    }
    return !too_deep;
  };
  try {
    Json header = Json::parse(text, watch);
    if (too_deep) return corrupt(kTooDeep);
    if (!twice.empty()) return corrupt("header: tensor " + in_quotes(twice) + " is there twice");
    if (!header.is_object()) return corrupt("header: expected a JSON object, found " + shown(header));
    return header;
  } catch (const Json::exception& error) {
    if (too_deep) return corrupt(kTooDeep);
    return corrupt("header: expected JSON, found an error: " + clipped(error.what()));
  }
}

Result<std::vector<uint64_t>> parse_numbers(const Json& entry, const char* key, const std::string& name,
                                            size_t n_max) {
  const auto found = entry.find(key);
  const std::string place = "tensor " + in_quotes(name) + ": expected '" + key +
                            "' to be a list of at most " + std::to_string(n_max) + " whole numbers, found ";
  if (found == entry.end()) return corrupt(place + "nothing");
  if (!found->is_array() || found->size() > n_max) return corrupt(place + shown(*found));
  std::vector<uint64_t> numbers;
  for (const Json& number : *found) {
    if (!number.is_number_unsigned()) return corrupt(place + shown(*found));
    numbers.push_back(number.get<uint64_t>());
  }
  return numbers;
}

// The number of bytes that shape and type need, or the error when that does not fit 64 bits.
Result<uint64_t> bytes_of(const StoredTensor& tensor) {
  uint64_t n_bytes = element_bytes(tensor.type);
  for (const uint64_t n : tensor.shape) {
    if (__builtin_mul_overflow(n_bytes, n, &n_bytes)) {
      return corrupt("tensor " + in_quotes(tensor.name) + ": shape " + to_string(tensor.shape) +
                     " is impossibly large");
    }
  }
  return n_bytes;
}

Result<StoredTensor> parse_tensor(const std::string& name, const Json& entry,
                                  std::span<const std::byte> data) {
  StoredTensor tensor;
  tensor.name = name;
  if (!entry.is_object()) {
    return corrupt("tensor " + in_quotes(name) +
                   ": expected an object with dtype, shape and data_offsets, found " + shown(entry));
  }
  const auto type = entry.find("dtype");
  if (type == entry.end() || !type->is_string()) {
    return corrupt("tensor " + in_quotes(name) + ": expected 'dtype' to be a text, found " +
                   (type == entry.end() ? "nothing" : shown(*type)));
  }
  tensor.type = type->get<std::string>();
  if (element_bytes(tensor.type) == 0 && element_type_from(tensor.type) != ElementType::kOther) {
    return corrupt("tensor " + in_quotes(name) + ": expected a type that safetensors have, found " +
                   tensor.type);
  }
  TANDEM_ASSIGN(tensor.shape, parse_numbers(entry, "shape", name, kDimensionsMax));
  TANDEM_ASSIGN(const std::vector<uint64_t> offsets, parse_numbers(entry, "data_offsets", name, 2));

  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    return corrupt("tensor " + in_quotes(name) + ": expected data_offsets [begin, end], found " +
                   to_string(offsets));
  }
  if (offsets[1] > data.size()) {
    return corrupt("tensor " + in_quotes(name) + ": expected its bytes " + to_string(offsets) +
                   " inside the file, found only " + std::to_string(data.size()) +
                   " bytes of tensors (is the file cut off?)");
  }
  if (element_bytes(tensor.type) > 0) {
    TANDEM_ASSIGN(const uint64_t n_bytes, bytes_of(tensor));
    if (n_bytes != offsets[1] - offsets[0]) {
      return corrupt("tensor " + in_quotes(name) + ": expected " + std::to_string(n_bytes) + " bytes for " +
                     tensor.type + " " + to_string(tensor.shape) + ", found " +
                     std::to_string(offsets[1] - offsets[0]));
    }
  }
  tensor.bytes = data.subspan(offsets[0], offsets[1] - offsets[0]);
  return tensor;
}

// The reference implementation asks for tensors side by side from the first byte to the last, so a hole or an
// overlap means that the header belongs to another file.
Result<void> check_side_by_side(std::span<const StoredTensor> tensors, std::span<const std::byte> data) {
  const std::byte* next = data.data();
  for (const StoredTensor& tensor : tensors) {
    if (tensor.bytes.data() == next) {
      next += tensor.bytes.size();
      continue;
    }
    return corrupt("tensor " + in_quotes(tensor.name) + ": expected its bytes to begin at " +
                   std::to_string(next - data.data()) + ", where the one before it ends, found " +
                   std::to_string(tensor.bytes.data() - data.data()) +
                   (tensor.bytes.data() < next ? " (they overlap)" : " (a hole)"));
  }
  if (next != data.data() + data.size()) {
    return corrupt("expected " + std::to_string(next - data.data()) + " bytes of tensors, found " +
                   std::to_string(data.size()));
  }
  return {};
}

}  // namespace

Result<std::vector<StoredTensor>> parse_safetensors(std::span<const std::byte> file) {
  uint64_t n_header = 0;
  if (file.size() < sizeof n_header) {
    return corrupt("expected a safetensors file of at least 8 bytes, found " + std::to_string(file.size()));
  }
  std::memcpy(&n_header, file.data(), sizeof n_header);
  if (n_header > limits::kSafetensorsHeaderBytesMax) {
    return corrupt("expected a header of at most " + std::to_string(limits::kSafetensorsHeaderBytesMax) +
                   " bytes, found " + std::to_string(n_header) + " (is it a safetensors file?)");
  }
  if (n_header > file.size() - sizeof n_header) {
    return corrupt("expected a header of " + std::to_string(n_header) + " bytes, found only " +
                   std::to_string(file.size() - sizeof n_header) + " (is the file cut off?)");
  }
  const std::span<const std::byte> data = file.subspan(sizeof n_header + n_header);
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + sizeof n_header, n_header);

  TANDEM_ASSIGN(const Json header, parse_header(text));
  std::vector<StoredTensor> tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;  // notes of whoever wrote the file
    TANDEM_ASSIGN(StoredTensor tensor, parse_tensor(name, entry, data));
    tensors.push_back(std::move(tensor));
  }
  std::sort(tensors.begin(), tensors.end(), [](const StoredTensor& a, const StoredTensor& b) {
    if (a.bytes.data() != b.bytes.data()) return a.bytes.data() < b.bytes.data();
    if (a.bytes.size() != b.bytes.size()) return a.bytes.size() < b.bytes.size();
    return a.name < b.name;
  });
  TANDEM_TRY(check_side_by_side(tensors, data));
  return tensors;
}

}  // namespace tandem::engine
