// White space at both ends of an answer is the model's habit, not its answer: cut off, while streaming, too.

#pragma once

#include <string>
#include <string_view>

namespace tandem {

// Without ASCII white space at both ends.
std::string_view trimmed(std::string_view text);

// The same for a text that comes in pieces: white space is held back until something follows. All that
// push() gives, joined, is a beginning of trimmed(all that went in), and differs from it by nothing.
class TrimmedStream {
 public:
  std::string push(std::string_view piece);

 private:
  std::string held_;
  bool begun_ = false;
};

}  // namespace tandem
