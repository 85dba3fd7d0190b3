// A list taken apart where its content says, so that an edit in one place changes the groups around that
// place only.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tandem {

struct GroupUnit {
  size_t size = 0;
  uint8_t kind = 0;   // how good it is to end a group behind it, 0 the best
  uint64_t hash = 0;  // of its content
};

// The ends of the groups, as counts of units; the last one is units.size(). A group has at most `size_max`
// and, where the units are no larger than a third of that, at least a third of it (but for a list that is
// smaller). A unit of more than `size_max` is a group of its own.
//
// Packing units until a group is full would do the same with fewer groups, but an edit near the beginning
// then shifts every end behind it, and with the ends the content of every later group. Instead
// (content-defined chunking, with units for bytes):
//
// - A unit ends a group when it is the best within a third of `size_max` to both sides, by kind, then by
//   hash, then by the hashes of the units in front of it. Whether it is depends on those units alone.
// - Between two such ends there may be more than `size_max`. What is between is taken apart from its
//   beginning on: each time behind the best unit that leaves a third or more on both sides.
//
// So an edit changes the group that it is in; if a group ended with the edited unit, or does now, the
// neighbour, too; seldom one more (tests/worker/tasks/text_splitter_test.cc counts).
std::vector<size_t> content_defined_groups(std::span<const GroupUnit> units, size_t size_max);

}  // namespace tandem
