#include "shared/protocol/writer.h"

#include <msgpack.hpp>

#include "shared/base/limits.h"
#include "shared/base/utf8.h"

namespace tandem {
namespace {

// What msgpack::packer writes to.
struct Sink {
  std::string& out;
  void write(const char* data, size_t n_bytes) { out.append(data, n_bytes); }
};

template <typename Pack>
void pack(std::string& out, Pack&& with) {
  Sink sink{out};
  msgpack::packer<Sink> packer(sink);
  with(packer);
}

}  // namespace

void Writer::number(uint64_t value) {
  pack(out_, [&](auto& packer) { packer.pack_uint64(value); });
}

void Writer::real(double value) {
  pack(out_, [&](auto& packer) { packer.pack_double(value); });
}

void Writer::boolean(bool value) {
  pack(out_, [&](auto& packer) { value ? packer.pack_true() : packer.pack_false(); });
}

void Writer::text(std::string_view value) {
  pack(out_, [&](auto& packer) {
    packer.pack_str(static_cast<uint32_t>(value.size()));
    packer.pack_str_body(value.data(), static_cast<uint32_t>(value.size()));
  });
}

void Writer::bytes(std::string_view value) {
  pack(out_, [&](auto& packer) {
    packer.pack_bin(static_cast<uint32_t>(value.size()));
    packer.pack_bin_body(value.data(), static_cast<uint32_t>(value.size()));
  });
}

void Writer::array(size_t n_elements) {
  pack(out_, [&](auto& packer) { packer.pack_array(static_cast<uint32_t>(n_elements)); });
}

void Writer::map(size_t n_entries) {
  pack(out_, [&](auto& packer) { packer.pack_map(static_cast<uint32_t>(n_entries)); });
}

void Writer::raw(std::string_view encoded) {
  out_ += encoded;
}

void Writer::error(const Error& error) {
  array(2);
  number(static_cast<uint64_t>(error.code));
  const std::string valid = utf8_lossy(std::string_view(error.text).substr(0, limits::kErrorTextBytesMax));
  // Replacement characters are longer than what they replace: cut again, at a character.
  const std::string_view cut = std::string_view(valid).substr(0, limits::kErrorTextBytesMax);
  text(cut.substr(0, utf8_valid_prefix(cut)));
}

}  // namespace tandem
