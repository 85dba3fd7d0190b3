#include "worker/engine/tensor/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <tuple>

#include "shared/base/utf8.h"

namespace tandem::engine {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is little-endian, and so is this reader");

constexpr uint64_t kKeysMax = 1u << 16, kTensorsMax = 1u << 17, kNameBytesMax = 1u << 16;
constexpr uint32_t kDimensionsMax = 4;
constexpr uint64_t kAlignment = 32, kAlignmentMax = 1u << 16;

// Tensor types by their number, with elements and bytes of a block.
struct StoredType {
  uint32_t number;
  const char* name;
  uint64_t n_elements, n_bytes;
};
constexpr StoredType kStoredTypes[] = {
    {0, "F32", 1, 4},       {1, "F16", 1, 2},       {30, "BF16", 1, 2},     {8, "Q8_0", 32, 34},
    {2, "Q4_0", 32, 18},    {3, "Q4_1", 32, 20},    {6, "Q5_0", 32, 22},    {7, "Q5_1", 32, 24},
    {10, "Q2_K", 256, 84},  {11, "Q3_K", 256, 110}, {12, "Q4_K", 256, 144}, {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210}, {24, "I8", 1, 1},       {25, "I16", 1, 2},      {26, "I32", 1, 4},
    {27, "I64", 1, 8},      {28, "F64", 1, 8},
};

tl::unexpected<Error> corrupt(std::string text) {
  return fail(ErrorCode::kCorrupt, std::move(text));
}
std::string in_quotes(std::string_view text) {
  return "'" + utf8_lossy(text.substr(0, 80)) + (text.size() > 80 ? "...'" : "'");
}

// Takes the file apart from front to back. `place` is what is being read, for errors.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> file) : file_(file) {}

  size_t position() const { return at_; }
  uint64_t n_left() const { return file_.size() - at_; }

  Result<std::span<const std::byte>> take(uint64_t n_bytes, const std::string& place) {
    if (n_bytes > n_left()) {
      return corrupt(place + ": expected " + std::to_string(n_bytes) + " bytes at byte " +
                     std::to_string(at_) + ", found only " + std::to_string(n_left()) +
                     " (is the file cut off?)");
    }
    const auto taken = file_.subspan(at_, n_bytes);
    at_ += n_bytes;
    return taken;
  }
  template <typename T>
  Result<T> number(const std::string& place) {
    TANDEM_ASSIGN(const auto bytes, take(sizeof(T), place));
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  // A count of things that take at least `bytes_each` of what is left.
  Result<uint64_t> count(uint64_t max, uint64_t bytes_each, const std::string& place) {
    TANDEM_ASSIGN(const auto n, number<uint64_t>(place));
    if (n <= max && n <= n_left() / bytes_each) return n;
    return corrupt(place + ": expected at most " + std::to_string(std::min(max, n_left() / bytes_each)) +
                   ", which is what may be or fits the file, found " + std::to_string(n));
  }
  Result<std::string_view> text(uint64_t max, const std::string& place) {
    TANDEM_ASSIGN(const uint64_t n, count(max, 1, place + ": length"));
    TANDEM_ASSIGN(const auto bytes, take(n, place));
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

 private:
  std::span<const std::byte> file_;
  size_t at_ = 0;
};

Result<GgufType> read_type(Cursor& cursor, const std::string& place) {
  TANDEM_ASSIGN(const auto type, cursor.number<uint32_t>(place + ": type"));
  if (type <= static_cast<uint32_t>(GgufType::kF64)) return static_cast<GgufType>(type);
  return corrupt(place + ": expected a type from 0 to 12, found " + std::to_string(type));
}

Result<GgufValue> read_value(Cursor& cursor, const std::string& place) {
  TANDEM_ASSIGN(const GgufType type, read_type(cursor, place));
  if (type == GgufType::kText) {
    TANDEM_ASSIGN(const std::string_view text, cursor.text(UINT64_MAX, place));
    return GgufValue(text);
  }
  if (type != GgufType::kArray) {
    TANDEM_ASSIGN(const auto bytes, cursor.take(gguf_bytes(type), place));
    return GgufValue(gguf_number(type, bytes.data()));
  }
  GgufArray array;
  TANDEM_ASSIGN(array.type, read_type(cursor, place));
  if (array.type == GgufType::kArray) {
    return fail(ErrorCode::kUnsupported,
                place + ": expected a list of numbers or texts, found a list of lists");
  }
  const size_t n_bytes = gguf_bytes(array.type);
  // A text takes at least its length.
  TANDEM_ASSIGN(array.n,
                cursor.count(UINT64_MAX, n_bytes == 0 ? sizeof(uint64_t) : n_bytes, place + ": count"));
  if (array.type == GgufType::kText) {
    array.texts.reserve(array.n);
    for (size_t i = 0; i < array.n; ++i) {
      TANDEM_ASSIGN(const std::string_view text,
                    cursor.text(UINT64_MAX, place + ": text " + std::to_string(i)));
      array.texts.push_back(text);
    }
  } else {
    TANDEM_ASSIGN(array.bytes, cursor.take(array.n * n_bytes, place));
  }
  return GgufValue(std::move(array));
}

// A tensor and where it should lie.
struct Placed {
  StoredTensor tensor;
  uint64_t offset = 0, n_bytes = 0;
};

Result<Placed> read_tensor(Cursor& cursor, const std::string& number) {
  Placed placed;
  StoredTensor& tensor = placed.tensor;
  TANDEM_ASSIGN(const std::string_view name, cursor.text(kNameBytesMax, "tensor " + number + ": name"));
  tensor.name = name;
  const std::string place = "tensor " + in_quotes(name);
  TANDEM_ASSIGN(const auto n_dimensions, cursor.number<uint32_t>(place + ": dimensions"));
  if (n_dimensions == 0 || n_dimensions > kDimensionsMax) {
    return corrupt(place + ": expected 1 to " + std::to_string(kDimensionsMax) + " dimensions, found " +
                   std::to_string(n_dimensions));
  }
  for (uint32_t i = 0; i < n_dimensions; ++i) {
    TANDEM_ASSIGN(const auto size, cursor.number<uint64_t>(place + ": shape"));
    tensor.shape.insert(tensor.shape.begin(), size);
  }
  TANDEM_ASSIGN(const auto type, cursor.number<uint32_t>(place + ": type"));
  TANDEM_ASSIGN(placed.offset, cursor.number<uint64_t>(place + ": offset"));
  const auto known = std::find_if(std::begin(kStoredTypes), std::end(kStoredTypes),
                                  [type](const StoredType& one) { return one.number == type; });
  if (known == std::end(kStoredTypes)) {
    tensor.type = "GGUF type " + std::to_string(type);
    return placed;
  }
  tensor.type = known->name;
  if (tensor.shape.back() % known->n_elements != 0) {
    return corrupt(place + ": expected rows of whole blocks of " + std::to_string(known->n_elements) +
                   " for " + tensor.type + ", found shape " + to_string(tensor.shape));
  }
  placed.n_bytes = known->n_bytes;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    const bool innermost = i + 1 == tensor.shape.size();
    const uint64_t n = innermost ? tensor.shape[i] / known->n_elements : tensor.shape[i];
    if (__builtin_mul_overflow(placed.n_bytes, n, &placed.n_bytes)) {
      return corrupt(place + ": shape " + to_string(tensor.shape) + " is impossibly large");
    }
  }
  return placed;
}

Result<uint64_t> read_alignment(const GgufFile& gguf) {
  const GgufValue* value = gguf.find("general.alignment");
  if (value == nullptr) return kAlignment;
  const auto alignment = value->count();
  if (alignment && std::has_single_bit(*alignment) && *alignment <= kAlignmentMax) return *alignment;
  return corrupt("'general.alignment': expected a power of two up to " + std::to_string(kAlignmentMax) +
                 ", found " + value->shown());
}

Result<void> place_tensors(std::vector<Placed> placed, std::span<const std::byte> data, uint64_t alignment,
                           GgufFile& gguf) {
  std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
    return std::tie(a.offset, a.n_bytes, a.tensor.name) < std::tie(b.offset, b.n_bytes, b.tensor.name);
  });
  std::map<std::string_view, bool> names;
  uint64_t end = 0;
  for (Placed& one : placed) {
    const std::string place = "tensor " + in_quotes(one.tensor.name);
    if (!names.emplace(one.tensor.name, true).second) return corrupt(place + " is there twice");
    if (one.offset % alignment != 0) {
      return corrupt(place + ": expected an offset that is a multiple of " + std::to_string(alignment) +
                     ", found " + std::to_string(one.offset));
    }
    if (one.offset > data.size() || one.n_bytes > data.size() - one.offset) {
      return corrupt(place + ": expected its " + std::to_string(one.n_bytes) + " bytes at " +
                     std::to_string(one.offset) + " inside the file, found only " +
                     std::to_string(data.size()) + " bytes of tensors (is the file cut off?)");
    }
    if (one.offset < end) {
      return corrupt(place + ": expected its bytes at " + std::to_string(end) +
                     " or behind, where the one before it ends, found " + std::to_string(one.offset) +
                     " (they overlap)");
    }
    end = one.offset + one.n_bytes;
    one.tensor.bytes = data.subspan(one.offset, one.n_bytes);
  }
  for (Placed& one : placed) gguf.tensors.push_back(std::move(one.tensor));
  return {};
}

Result<void> check_version(Cursor& cursor) {
  TANDEM_ASSIGN(const auto magic, cursor.take(4, "header"));
  if (std::memcmp(magic.data(), "GGUF", 4) != 0) {
    return corrupt("expected a GGUF file that begins with \"GGUF\", found something else");
  }
  TANDEM_ASSIGN(const auto version, cursor.number<uint32_t>("header: version"));
  if (version == 2 || version == 3) return {};
  const bool big_endian = version != 0 && (version & 0xFFFF) == 0;
  return fail(ErrorCode::kUnsupported, "expected GGUF version 2 or 3, found " +
                                           (big_endian ? "a big-endian file" : std::to_string(version)));
}

}  // namespace

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto found = metadata.find(key);
  return found == metadata.end() ? nullptr : &found->second;
}

Result<GgufFile> parse_gguf(std::span<const std::byte> file) {
  GgufFile gguf;
  Cursor cursor(file);
  TANDEM_TRY(check_version(cursor));
  // A tensor takes at least 8 + 4 + 8 + 4 + 8 bytes, a key 8 + 4 + 1.
  TANDEM_ASSIGN(const uint64_t n_tensors, cursor.count(kTensorsMax, 32, "header: number of tensors"));
  TANDEM_ASSIGN(const uint64_t n_keys, cursor.count(kKeysMax, 13, "header: number of keys"));
  for (uint64_t i = 0; i < n_keys; ++i) {
    TANDEM_ASSIGN(const std::string_view key, cursor.text(kNameBytesMax, "key " + std::to_string(i)));
    TANDEM_ASSIGN(GgufValue value, read_value(cursor, in_quotes(key)));
    if (!gguf.metadata.emplace(key, std::move(value)).second)
      return corrupt(in_quotes(key) + " is there twice");
  }
  if (const GgufValue* parts = gguf.find("split.count"); parts != nullptr && parts->count() > uint64_t{1}) {
    return fail(ErrorCode::kUnsupported, "'split.count': expected a model in one file, found one in " +
                                             parts->shown() + " (llama-gguf-split --merge joins them)");
  }
  TANDEM_ASSIGN(const uint64_t alignment, read_alignment(gguf));
  std::vector<Placed> placed;
  for (uint64_t i = 0; i < n_tensors; ++i) {
    TANDEM_ASSIGN(Placed one, read_tensor(cursor, std::to_string(i)));
    placed.push_back(std::move(one));
  }
  const uint64_t begin = (cursor.position() + alignment - 1) / alignment * alignment;
  const auto data = begin <= file.size() ? file.subspan(begin) : std::span<const std::byte>();
  TANDEM_TRY(place_tensors(std::move(placed), data, alignment, gguf));
  return gguf;
}

}  // namespace tandem::engine
