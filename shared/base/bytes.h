// Bytes that do not change, shared and not copied: a payload on its way from a socket to the disk and to
// other sockets is a slice of the message it came in.

#pragma once

#include <cstring>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

namespace tandem {

// A view that keeps alive what it looks at. Copies are cheap and see the same bytes; a slice keeps the whole
// of what it was cut from in memory, so what is kept for long is to be copied out: Bytes(std::string(slice)).
// Safe to read and to copy from any thread.
class Bytes {
 public:
  Bytes() = default;
  // Anything encoded may be passed as a payload: a string that is not needed any more is taken over, others
  // are copied.
  Bytes(std::string&& text) {  // NOLINT
    if (text.empty()) return;
    auto owned = std::make_shared<const std::string>(std::move(text));
    view_ = *owned;
    owner_ = std::move(owned);
  }
  Bytes(std::string_view text) {  // NOLINT
    if (text.empty()) return;
    const auto owned = std::make_shared_for_overwrite<char[]>(text.size());
    std::memcpy(owned.get(), text.data(), text.size());
    view_ = {owned.get(), text.size()};
    owner_ = owned;
  }
  Bytes(const std::string& text) : Bytes(std::string_view(text)) {}  // NOLINT
  Bytes(const char* text) : Bytes(std::string_view(text)) {}         // NOLINT
  // `view` is good for as long as `owner` lives.
  Bytes(std::shared_ptr<const void> owner, std::string_view view) : owner_(std::move(owner)), view_(view) {}

  Bytes(const Bytes&) = default;
  Bytes& operator=(const Bytes&) = default;
  Bytes(Bytes&& other) noexcept
      : owner_(std::move(other.owner_)), view_(std::exchange(other.view_, std::string_view())) {}
  Bytes& operator=(Bytes&& other) noexcept {
    owner_ = std::move(other.owner_);
    view_ = std::exchange(other.view_, std::string_view());
    return *this;
  }

  std::string_view view() const { return view_; }
  operator std::string_view() const { return view_; }  // NOLINT: read like any text
  size_t size() const { return view_.size(); }
  bool empty() const { return view_.empty(); }
  std::string to_string() const { return std::string(view_); }
  // A part of it, which keeps the same memory.
  Bytes slice(size_t from, size_t n_bytes) const { return {owner_, view_.substr(from, n_bytes)}; }

  friend bool operator==(const Bytes& a, const Bytes& b) { return a.view_ == b.view_; }
  friend bool operator==(const Bytes& a, std::string_view b) { return a.view_ == b; }
  friend bool operator==(const Bytes& a, const std::string& b) { return a.view_ == b; }
  friend bool operator==(const Bytes& a, const char* b) { return a.view_ == b; }
  friend std::ostream& operator<<(std::ostream& out, const Bytes& bytes) { return out << bytes.view_; }

 private:
  std::shared_ptr<const void> owner_;
  std::string_view view_;
};

}  // namespace tandem
