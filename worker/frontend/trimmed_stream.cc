#include "worker/frontend/trimmed_stream.h"

namespace tandem {

namespace {
constexpr std::string_view kWhiteSpace = " \t\r\n\v\f";
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kWhiteSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kWhiteSpace) + 1 - begin);
}

std::string TrimmedStream::push(std::string_view piece) {
  if (!begun_) {
    const size_t begin = piece.find_first_not_of(kWhiteSpace);
    if (begin == std::string_view::npos) return {};
    piece.remove_prefix(begin);
    begun_ = true;
  }
  held_ += piece;
  const size_t end = held_.find_last_not_of(kWhiteSpace);
  if (end == std::string::npos) return {};
  std::string certain = held_.substr(0, end + 1);
  held_.erase(0, end + 1);
  return certain;
}

}  // namespace tandem
