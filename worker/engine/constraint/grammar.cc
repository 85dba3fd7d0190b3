#include "worker/engine/constraint/grammar.h"

#include <algorithm>
#include <map>
#include <optional>

#include "shared/base/utf8.h"

namespace tandem::engine {
namespace {

using Node = Grammar::Node;

// Lowers rules backwards: every piece is told where it goes on, and says where it begins. So nodes point to
// earlier ones except in loops, and nothing has to be patched but calls.
class Lowering {
 public:
  explicit Lowering(const std::vector<Expression>& rules) {
    for (const Expression& rule : rules) bodies_.push_back(&rule);
  }

  // The first node of each rule, or nothing when there are too many.
  bool run(Grammar& grammar) {
    end_ = add({.kind = Node::Kind::kEnd});
    for (size_t i = 0; i < bodies_.size() && !full_; ++i) starts_.push_back(lower(*bodies_[i], end_));
    if (full_) return false;
    for (Node& node : nodes_) {
      if (node.kind == Node::Kind::kCall) node.other = starts_[node.other];
    }
    grammar.nodes = std::move(nodes_);
    grammar.start = starts_[0];
    return true;
  }
  const std::vector<uint32_t>& starts() const { return starts_; }

 private:
  uint32_t add(Node node) {
    if (nodes_.size() >= Grammar::kNodesMax) {
      full_ = true;
      return 0;
    }
    nodes_.push_back(node);
    return static_cast<uint32_t>(nodes_.size() - 1);
  }
  uint32_t split(uint32_t a, uint32_t b) { return add({.kind = Node::Kind::kSplit, .next = a, .other = b}); }
  uint32_t byte(uint8_t first, uint8_t last, uint32_t next) {
    return add({.kind = Node::Kind::kByte, .first = first, .last = last, .next = next});
  }
  // A split into all of them; one that leads nowhere when there is none.
  uint32_t any_of(const std::vector<uint32_t>& starts) {
    if (starts.empty()) return byte(1, 0, 0);
    uint32_t node = starts.back();
    for (size_t i = starts.size() - 1; i > 0; --i) node = split(starts[i - 1], node);
    return node;
  }

  uint32_t lower(const Expression& e, uint32_t next) {
    if (full_) return 0;
    switch (e.kind) {
      case Expression::Kind::kBytes:
        for (auto c = e.bytes.rbegin(); c != e.bytes.rend(); ++c) {
          next = byte(static_cast<uint8_t>(*c), static_cast<uint8_t>(*c), next);
        }
        return next;
      case Expression::Kind::kClass: {
        std::vector<uint32_t> starts;
        for (const auto& one : utf8_sequences(e.code_points)) {
          uint32_t node = next;
          for (auto range = one.rbegin(); range != one.rend(); ++range)
            node = byte(range->first, range->last, node);
          starts.push_back(node);
        }
        return any_of(starts);
      }
      case Expression::Kind::kSequence:
        for (auto part = e.parts.rbegin(); part != e.parts.rend(); ++part) next = lower(*part, next);
        return next;
      case Expression::Kind::kChoice: {
        std::vector<uint32_t> starts;
        for (const Expression& part : e.parts) starts.push_back(lower(part, next));
        return any_of(starts);
      }
      case Expression::Kind::kRepeat:
        return lower_repeat(e, next);
      case Expression::Kind::kRule:
        return add({.kind = Node::Kind::kCall, .next = next, .other = e.rule});
    }
    return next;
  }

  uint32_t lower_repeat(const Expression& e, uint32_t next) {
    const bool is_loop = e.max == Expression::kUnbounded;
    const uint32_t n_copies = is_loop ? std::max(e.min, 1u) : e.max;
    // Copies of more than a byte are calls of one rule, so that {0,1000} costs a node for each.
    const Expression& body = e.parts[0];
    const auto copy = [&](uint32_t then) {
      if (n_copies <= 1 || is_small(body)) return lower(body, then);
      return add({.kind = Node::Kind::kCall, .next = then, .other = rule_of(body)});
    };

    uint32_t node = next;
    uint32_t n_left = e.min;
    if (is_loop) {
      const uint32_t loop = split(next, next);
      const uint32_t first = copy(loop);
      if (full_) return 0;
      nodes_[loop].next = first;
      node = e.min == 0 ? loop : first;
      if (n_left > 0) --n_left;
    } else {
      for (uint32_t i = e.min; i < e.max && !full_; ++i) node = split(copy(node), next);
    }
    for (; n_left > 0 && !full_; --n_left) node = copy(node);
    return node;
  }

  static bool is_small(const Expression& e) {
    return e.kind == Expression::Kind::kRule || (e.kind == Expression::Kind::kBytes && e.bytes.size() <= 1);
  }
  uint32_t rule_of(const Expression& body) {
    const auto [known, is_new] = rule_of_body_.emplace(&body, static_cast<uint32_t>(bodies_.size()));
    if (is_new) bodies_.push_back(&body);
    return known->second;
  }

  std::vector<const Expression*> bodies_;  // of the rules, and of what is repeated
  std::map<const Expression*, uint32_t> rule_of_body_;
  std::vector<uint32_t> starts_;
  std::vector<Node> nodes_;
  uint32_t end_ = 0;
  bool full_ = false;
};

// Until nothing gets smaller. Nodes point to earlier ones mostly, so a few rounds do.
std::vector<uint32_t> needs_of(const std::vector<Node>& nodes) {
  std::vector<uint32_t> need(nodes.size(), Grammar::kNever);
  bool changed = true;
  while (changed) {
    changed = false;
    for (size_t i = 0; i < nodes.size(); ++i) {
      const Node& node = nodes[i];
      uint32_t found = Grammar::kNever;
      switch (node.kind) {
        case Node::Kind::kEnd:
          found = 0;
          break;
        case Node::Kind::kByte:
          if (node.first <= node.last) found = need[node.next];
          break;
        case Node::Kind::kSplit:
          found = std::min(need[node.next], need[node.other]);
          break;
        case Node::Kind::kCall: {
          const uint32_t inside = need[node.other], after = need[node.next];
          const bool returns_at_once = nodes[node.next].kind == Node::Kind::kEnd;
          if (inside < Grammar::kDepthMax && after <= Grammar::kDepthMax)
            found = returns_at_once ? inside : std::max(inside + 1, after);
          break;
        }
      }
      if (found < need[i]) {
        need[i] = found;
        changed = true;
      }
    }
  }
  return need;
}

// By node: whether its rule may end without a byte from here.
std::vector<bool> empties_of(const std::vector<Node>& nodes) {
  std::vector<bool> empty(nodes.size());
  bool changed = true;
  while (changed) {
    changed = false;
    for (size_t i = 0; i < nodes.size(); ++i) {
      const Node& node = nodes[i];
      const bool found = node.kind == Node::Kind::kEnd ||
                         (node.kind == Node::Kind::kSplit && (empty[node.next] || empty[node.other])) ||
                         (node.kind == Node::Kind::kCall && empty[node.other] && empty[node.next]);
      if (found && !empty[i]) {
        empty[i] = true;
        changed = true;
      }
    }
  }
  return empty;
}

// Whether a rule can come back to its own beginning without reading a byte: it would call itself for ever.
bool begins_with_itself(const std::vector<Node>& nodes, const std::vector<uint32_t>& starts) {
  const std::vector<bool> empty = empties_of(nodes);
  std::map<uint32_t, std::vector<uint32_t>> called;           // without a byte, by a rule's first node
  std::vector<uint32_t> seen(nodes.size(), Grammar::kNever);  // [node]: by which rule last
  for (const uint32_t start : starts) {
    if (called.contains(start)) continue;
    std::vector<uint32_t>& calls = called[start];
    std::vector<uint32_t> todo{start};
    while (!todo.empty()) {
      const uint32_t at = todo.back();
      todo.pop_back();
      if (seen[at] == start) continue;
      seen[at] = start;
      const Node& node = nodes[at];
      if (node.kind == Node::Kind::kSplit) {
        todo.push_back(node.next);
        todo.push_back(node.other);
      } else if (node.kind == Node::Kind::kCall) {
        calls.push_back(node.other);
        if (empty[node.other]) todo.push_back(node.next);
      }
    }
  }
  // Rules that call nothing, or only such, are taken away until nothing changes; what is left goes in
  // circles.
  bool changed = true;
  while (changed && !called.empty()) {
    changed = std::erase_if(called, [&](const auto& one) {
                return std::none_of(one.second.begin(), one.second.end(),
                                    [&](uint32_t other) { return called.contains(other); });
              }) > 0;
  }
  return !called.empty();
}

void classify_bytes(Grammar& grammar) {
  std::array<bool, 257> border{};
  border[0] = true;
  for (const Node& node : grammar.nodes) {
    if (node.kind != Node::Kind::kByte || node.first > node.last) continue;
    border[node.first] = border[size_t{node.last} + 1] = true;
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    if (border[byte]) grammar.byte_of.push_back(static_cast<uint8_t>(byte));
    grammar.class_of[byte] = static_cast<uint8_t>(grammar.byte_of.size() - 1);
  }
  grammar.n_classes = grammar.byte_of.size();
}

}  // namespace

Result<std::shared_ptr<const Grammar>> Grammar::build(const std::vector<Expression>& rules) {
  auto grammar = std::make_shared<Grammar>();
  Lowering lowering(rules);
  if (!lowering.run(*grammar)) {
    return fail(ErrorCode::kTooLong,
                "expected a shape of at most " + std::to_string(kNodesMax) + " nodes, found more");
  }
  grammar->need = needs_of(grammar->nodes);
  if (begins_with_itself(grammar->nodes, lowering.starts())) {
    return fail(ErrorCode::kInvalid, "expected something in front of each reference to itself, found none");
  }
  if (grammar->need[grammar->start] > kDepthMax) {
    return fail(ErrorCode::kInvalid, "expected a shape that some text fits, found one that none does");
  }
  classify_bytes(*grammar);
  return grammar;
}

Result<std::shared_ptr<const Grammar>> grammar_of_choice(std::span<const std::string> choices) {
  if (choices.empty() || choices.size() > kChoicesMax) {
    return fail(ErrorCode::kInvalid, "expected 1 to " + std::to_string(kChoicesMax) + " choices, found " +
                                         std::to_string(choices.size()));
  }
  std::vector<Expression> texts;
  for (const std::string& text : choices) {
    if (text.empty())
      return fail(ErrorCode::kInvalid, "expected choices of at least one byte, found an empty one");
    if (auto valid = check_utf8(text); !valid) return fail_in("a choice", std::move(valid).error());
    texts.push_back(bytes(text));
  }
  return Grammar::build({choice(std::move(texts))});
}

}  // namespace tandem::engine
