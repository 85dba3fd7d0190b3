#include "worker/engine/tokenizer/vocabulary.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "shared/base/utf8.h"
#include "worker/engine/tokenizer/byte_alphabet.h"

namespace tandem::engine {
namespace {

using Ids = std::unordered_map<std::string_view, int64_t>;

tl::unexpected<Error> corrupt(std::string text) {
  return fail(ErrorCode::kCorrupt, std::move(text));
}

Result<Ids> ids_of_words(const Spelled& spelled) {
  Ids ids;
  ids.reserve(spelled.words.size());
  for (const auto& [spelling, id] : spelled.words) {
    if (!ids.emplace(spelling, id).second)
      return corrupt("model.vocab: " + in_quotes(spelling) + " is there twice");
  }
  return ids;
}

// Hands out the ids 0 to n-1 once each.
class Places {
 public:
  Places(size_t n, TokenizerFile& file) : file_(file) {
    file_.tokens.resize(n);
    file_.added.resize(n);
  }

  // `name` is how the file spells it.
  Result<void> put(int64_t id, std::string bytes, std::string_view name) {
    if (id < 0 || id >= static_cast<int64_t>(file_.tokens.size())) {
      if (misfit_.empty()) misfit_ = std::to_string(id) + " for " + in_quotes(name);
      return {};  // which id is missing instead is known when all are placed
    }
    std::string& place = file_.tokens[static_cast<size_t>(id)];
    if (!place.empty()) {
      return corrupt("vocabulary: id " + std::to_string(id) + " is given twice, to " + in_quotes(name) +
                     " and to another token");
    }
    place = std::move(bytes);
    return {};
  }

  Result<void> check() const {
    if (misfit_.empty()) return {};  // then n tokens have n different ids below n
    const auto hole = std::find(file_.tokens.begin(), file_.tokens.end(), "") - file_.tokens.begin();
    return corrupt("vocabulary: expected the ids 0 to " + std::to_string(file_.tokens.size() - 1) +
                   " once each, found " + misfit_ + " and none with " + std::to_string(hole));
  }

 private:
  TokenizerFile& file_;
  std::string misfit_;
};

Result<void> place_tokens(const Spelled& spelled, const Ids& words, TokenizerFile& file) {
  std::unordered_set<std::string_view> seen;
  size_t n = words.size();
  for (const Spelled::Added& token : spelled.added) {
    if (token.text.empty()) return corrupt("added_tokens: token " + std::to_string(token.id) + " is empty");
    if (!seen.insert(token.text).second)
      return corrupt("added_tokens: " + in_quotes(token.text) + " is there twice");
    const auto word = words.find(token.text);
    if (word == words.end()) {
      ++n;
    } else if (word->second != token.id) {
      return corrupt("added_tokens: " + in_quotes(token.text) + " has id " + std::to_string(token.id) +
                     ", but " + std::to_string(word->second) + " in model.vocab");
    }
  }

  Places places(n, file);
  for (const Spelled::Added& token : spelled.added) {
    TANDEM_TRY(places.put(token.id, token.text, token.text));
    file.added_tokens.push_back({static_cast<TokenId>(token.id), token.text, token.special});
  }
  for (const auto& [spelling, id] : spelled.words) {
    if (seen.contains(spelling)) continue;  // an added token that is in the vocabulary as well
    std::optional<std::string> bytes = bytes_of_spelling(spelling);
    if (!bytes || bytes->empty()) {
      return fail(ErrorCode::kUnsupported, "vocabulary: expected byte-level tokens, found " +
                                               in_quotes(spelling) + " with id " + std::to_string(id));
    }
    TANDEM_TRY(places.put(id, *std::move(bytes), spelling));
  }
  TANDEM_TRY(places.check());
  for (const AddedToken& token : file.added_tokens) file.added[static_cast<size_t>(token.id)] = true;
  return {};
}

Result<void> place_merges(const Spelled& spelled, const Ids& words, TokenizerFile& file) {
  std::unordered_set<uint64_t> seen;
  seen.reserve(spelled.merges.size());
  file.merges.reserve(spelled.merges.size());
  std::string joined;
  for (const auto& [left, right] : spelled.merges) {
    const auto place = [&] { return "merge " + std::to_string(file.merges.size()) + ": "; };
    joined.assign(left).append(right);
    TokenId ids[3];
    const std::string_view spellings[3] = {left, right, joined};
    for (size_t i = 0; i < 3; ++i) {
      const auto word = words.find(spellings[i]);
      if (word == words.end())
        return corrupt(place() + in_quotes(spellings[i]) + " is not in the vocabulary");
      ids[i] = static_cast<TokenId>(word->second);
    }
    if (!seen.insert(uint64_t{static_cast<uint32_t>(ids[0])} << 32 | static_cast<uint32_t>(ids[1])).second) {
      return corrupt(place() + in_quotes(left) + " with " + in_quotes(right) + " is there twice");
    }
    if (file.added[static_cast<size_t>(ids[2])]) {
      return fail(ErrorCode::kUnsupported, place() + "makes the added token " + in_quotes(joined));
    }
    file.merges.push_back({ids[0], ids[1], ids[2]});
  }
  return {};
}

Result<void> find_bytes(TokenizerFile& file) {
  file.byte_ids.fill(-1);
  for (size_t id = 0; id < file.tokens.size(); ++id) {
    if (file.tokens[id].size() != 1 || file.added[id]) continue;
    file.byte_ids[static_cast<uint8_t>(file.tokens[id][0])] = static_cast<TokenId>(id);
  }
  const auto missing = std::find(file.byte_ids.begin(), file.byte_ids.end(), -1);
  if (missing == file.byte_ids.end()) return {};
  return corrupt("vocabulary: expected a token for every byte, found none for byte " +
                 std::to_string(missing - file.byte_ids.begin()));
}

}  // namespace

Result<void> place_vocabulary(const Spelled& spelled, TokenizerFile& file) {
  TANDEM_ASSIGN(const Ids words, ids_of_words(spelled));
  TANDEM_TRY(place_tokens(spelled, words, file));
  TANDEM_TRY(find_bytes(file));
  return place_merges(spelled, words, file);
}

std::string in_quotes(std::string_view text) {
  return "'" + utf8_lossy(text.substr(0, 60)) + (text.size() > 60 ? "...'" : "'");
}

}  // namespace tandem::engine
