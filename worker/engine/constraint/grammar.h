// A set of texts as a machine over bytes: nodes that read a byte, fork, call a rule and return from it. What
// a choice, a regular expression and a JSON schema all become.

#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"
#include "worker/engine/constraint/expression.h"

namespace tandem::engine {

// Immutable after build(); safe from any thread.
//
// A thread of the machine is a node and a stack of nodes to return to. It is only worth following while
// depth + need[node] <= kDepthMax: then, and only then, it can still come to an end. So there are no dead
// ends.
struct Grammar {
  struct Node {
    enum class Kind : uint8_t { kByte, kSplit, kCall, kEnd };
    Kind kind = Kind::kEnd;
    uint8_t first = 0, last = 0;  // of kByte: the bytes it reads
    uint32_t next = 0;            // where it goes on; of kCall: when the rule has returned
    uint32_t other = 0;           // of kSplit: or here; of kCall: the rule's first node
  };
  // Calls inside each other. JSON takes two or three for each level, so 80 levels at least.
  static constexpr uint32_t kDepthMax = 256;
  static constexpr size_t kNodesMax = 1u << 17;
  static constexpr uint32_t kNever = UINT32_MAX;

  std::vector<Node> nodes;
  std::vector<uint32_t> need;  // [node]: calls inside each other until its rule's end; kNever
  uint32_t start = 0;

  // Bytes that no node tells apart have one class: transitions are kept by class.
  std::array<uint8_t, 256> class_of{};
  size_t n_classes = 0;
  std::vector<uint8_t> byte_of;  // [class]: one of its bytes

  // rules[0] is the whole. kTooLong: more nodes than kNodesMax. kInvalid: no text fits, or a rule begins with
  // itself.
  static Result<std::shared_ptr<const Grammar>> build(const std::vector<Expression>& rules);
};

// Exactly one of these texts. kInvalid: none, too many (limit: kChoicesMax), an empty one, bytes that are no
// UTF-8.
Result<std::shared_ptr<const Grammar>> grammar_of_choice(std::span<const std::string> choices);
inline constexpr size_t kChoicesMax = 4096;

// A text that the pattern fits as a whole; regex.h says what a pattern may have.
Result<std::shared_ptr<const Grammar>> grammar_of_regex(std::string_view pattern);

// JSON that fits the schema, or any JSON when it is empty; json_schema.h says what a schema may have.
Result<std::shared_ptr<const Grammar>> grammar_of_json(std::string_view schema);

}  // namespace tandem::engine
