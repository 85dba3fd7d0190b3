// Which rows of a batch attend together: what one thread takes up at once.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tandem::engine {

// Rows of a batch that belong to one sequence and follow each other in it: rows [first_row, first_row +
// n_rows) of q are its tokens at positions first_position and following; their results are rows of `out` from
// first_out on.
struct AttentionPiece {
  std::span<const uint32_t> blocks;  // of the sequence; they have room for all of these positions
  size_t first_position = 0;
  size_t first_row = 0;
  size_t n_rows = 0;
  size_t first_out = 0;

  size_t n_positions() const { return first_position + n_rows; }
  size_t n_blocks() const;  // those that the rows see
};

// Pieces of at most a tile's rows, in groups. The first n_shared blocks are the same for all pieces of a
// group and full before any of its rows: they are read once for all of them. So sixteen replies about one
// text read its keys and values once at each step and not sixteen times.
//
// A group takes pieces that begin with the same blocks while they fit into one tile and share as much as its
// first two do, and those two are together only if neither shares more with its other neighbour; so sequences
// that have only a short template in common do not pull apart those that share a long text. Which rows are
// grouped changes no bit of a result (see simd.h).
class AttentionPlan {
 public:
  struct Group {
    uint32_t first_piece = 0, n_pieces = 0, n_rows = 0, n_shared = 0;
  };

  // n_rows_max: tokens in a group. Keeps the spans of blocks, not the blocks.
  void make(std::span<const AttentionPiece> pieces, size_t n_rows_max);

  std::span<const Group> groups() const { return groups_; }
  std::span<const AttentionPiece> pieces(const Group& group) const {
    return std::span(pieces_).subspan(group.first_piece, group.n_pieces);
  }

 private:
  // n_with_next: blocks that the piece shares with the one behind it.
  void add(const AttentionPiece& piece, size_t n_with_next, size_t n_rows_max);

  std::vector<AttentionPiece> pieces_;
  std::vector<Group> groups_;
  std::vector<uint32_t> order_;
};

}  // namespace tandem::engine
