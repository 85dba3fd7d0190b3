#include "shared/net/allowlist.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "shared/net/keys.h"

namespace tandem {
namespace {

constexpr std::string_view kBlank = " \t";

// The first word; `line` keeps the rest, without the blanks between.
std::string_view take_word(std::string_view& line) {
  const size_t end = std::min(line.find_first_of(kBlank), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(line.find_first_not_of(kBlank, end), line.size()));
  return word;
}

tl::unexpected<Error> bad_line(size_t number, const std::string& text) {
  return fail(ErrorCode::kInvalid, "line " + std::to_string(number) + ": " + text);
}

// Where each name of a worker is first.
using NameLines = std::unordered_map<std::string, size_t>;

// Two keys that may speak for one worker would take each other's jobs.
Result<void> check_apart(const NameLines& workers) {
  std::optional<std::pair<size_t, std::string>> first;  // the line of the first mistake, and what is wrong
  for (const auto& [name, line] : workers) {
    for (size_t end = 1; end < name.size(); ++end) {
      const std::string_view whose = std::string_view(name).substr(0, end);
      if (!speaks_for(whose, name)) continue;
      const auto other = workers.find(std::string(whose));
      if (other == workers.end()) continue;
      const size_t later = std::max(line, other->second);
      if (first && first->first <= later) continue;
      first = {later, "expected workers none of which may speak for another, found '" + other->first +
                          "' (line " + std::to_string(other->second) + "), whose key speaks for '" + name +
                          "' (line " + std::to_string(line) + "), too"};
    }
  }
  if (first) return bad_line(first->first, first->second);
  return {};
}

}  // namespace

std::string_view to_string(Role role) {
  switch (role) {
    case Role::kClient:
      return "client";
    case Role::kWorker:
      return "worker";
    case Role::kAdmin:
      return "admin";
  }
  return "unknown";
}

Result<Role> parse_role(std::string_view word) {
  for (const Role role : {Role::kClient, Role::kWorker, Role::kAdmin}) {
    if (word == to_string(role)) return role;
  }
  // A long word is not shown: it may be a secret key in the wrong place.
  constexpr size_t kShownMax = 12;
  return fail(ErrorCode::kInvalid,
              "expected a role (client, worker or admin), found " +
                  (word.size() <= kShownMax ? "'" + std::string(word) + "'"
                                            : "a word of " + std::to_string(word.size()) + " characters"));
}

Result<Allowlist> Allowlist::parse(std::string_view text) {
  if (text.empty()) {
    return fail(ErrorCode::kInvalid, "expected lines 'ROLE KEY NAME' or a comment, found an empty file");
  }
  Allowlist list;
  std::unordered_map<std::string, size_t> lines;
  NameLines workers;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) {
      return bad_line(number, "expected a line that ends, found the end of the file (half written?)");
    }
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    while (!line.empty() && kBlank.find(line.back()) != std::string_view::npos) line.remove_suffix(1);
    line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
    if (line.empty() || line.starts_with('#')) continue;

    PeerName peer;
    auto role = parse_role(take_word(line));
    if (!role) return bad_line(number, role.error().text);
    peer.role = *role;
    const std::string key(take_word(line));
    // The word is not shown: a secret key may have got there by mistake, and looks the same.
    if (!is_key(key)) {
      return bad_line(number, "expected a public key of 40 characters after the role, found " +
                                  std::to_string(key.size()) + " characters that are none");
    }
    if (auto good = check_peer_name(line); !good) return bad_line(number, good.error().text);
    peer.name = line;
    if (peer.role == Role::kWorker) workers.emplace(peer.name, number);
    const auto [before, is_new] = lines.emplace(key, number);
    if (!is_new) {
      return bad_line(
          number, "expected each key once, found that of line " + std::to_string(before->second) + " again");
    }
    list.peers_.emplace(key, std::move(peer));
  }
  TANDEM_TRY(check_apart(workers));
  return list;
}

const PeerName* Allowlist::find(const std::string& public_key) const {
  const auto found = peers_.find(public_key);
  return found == peers_.end() ? nullptr : &found->second;
}

bool speaks_for(std::string_view key_name, std::string_view name) {
  if (!name.starts_with(key_name)) return false;
  name.remove_prefix(key_name.size());
  return name.empty() || name.front() == '.' || name.front() == '-';
}

std::string allow_line(const PeerName& peer, std::string_view public_key) {
  return std::string(to_string(peer.role)) + " " + std::string(public_key) + " " + peer.name;
}

}  // namespace tandem
