// A long text in pieces that a model can take, such that an edit in one place leaves the other pieces as they
// were: their answers are in the cache then.

#pragma once

#include <cstddef>
#include <functional>
#include <string_view>
#include <vector>

namespace tandem {

struct SplitLimits {
  size_t chars_max = 10'000;  // of a piece, its overlap included
  size_t tokens_max = 0;      // the same; 0: not limited
  size_t overlap_chars =
      0;  // of the text in front of a piece that it begins with, at most; less than chars_max
};

struct TextPiece {
  size_t overlap_begin = 0;  // what the model gets: [overlap_begin, end)
  size_t begin = 0;          // the piece's own text: [begin, end), without gaps to its neighbours
  size_t end = 0;
};

using CountTokens = std::function<size_t(std::string_view)>;

// The pieces of `text` (valid UTF-8), in order: their own texts joined are the text. They end between
// sentences where there are any, and never inside a character (sentences.h); which sentences end a piece is
// decided by content (content_groups.h). The tokens of a piece are counted as the sum over its sentences,
// each alone, which is the same or a little more. A text within the limits is one piece; an empty one is
// none.
//
// The overlap begins with a sentence if one begins in it, and is shorter where the limits leave no room for
// it.
std::vector<TextPiece> split_text(std::string_view text, const SplitLimits& limits,
                                  const CountTokens& n_tokens = {});

}  // namespace tandem
