#include "worker/engine/tokenizer/word_piece.h"

#include <algorithm>
#include <unordered_map>

#include "shared/base/assert.h"
#include "shared/base/file.h"
#include "shared/base/hash.h"
#include "shared/base/limits.h"
#include "shared/base/utf8.h"
#include "worker/engine/tokenizer/word_piece_json.h"

namespace tandem::engine {

struct WordPieceTokenizer::Data {
  WordPieceFile file;
  std::string fingerprint;
  // Views into file.tokens; those that continue a word without their prefix.
  std::unordered_map<std::string_view, TokenId> beginnings, continuations;
  size_t longest = 0;  // bytes

  Data(WordPieceFile f, std::string hash) : file(std::move(f)), fingerprint(std::move(hash)) {
    for (size_t i = 0; i < file.tokens.size(); ++i) {
      const std::string_view token = file.tokens[i];
      const auto id = static_cast<TokenId>(i);
      longest = std::max(longest, token.size());
      beginnings.emplace(token, id);
      if (token.starts_with(file.prefix) && token.size() > file.prefix.size()) {
        continuations.emplace(token.substr(file.prefix.size()), id);
      }
    }
    std::sort(file.added.begin(), file.added.end(),
              [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
  }
  Data(const Data&) = delete;
  Data& operator=(const Data&) = delete;

  void append_word(std::string_view word, Tokens& out) const {
    const size_t n_before = out.size();
    if (utf8_length(word) > file.word_characters_max) return out.push_back(file.unknown);
    while (!word.empty()) {
      const auto& known = out.size() == n_before ? beginnings : continuations;
      size_t length = std::min(word.size(), longest);
      auto found = known.end();
      for (; length > 0; --length) {
        const bool whole = length == word.size() || (static_cast<uint8_t>(word[length]) & 0xC0) != 0x80;
        if (whole && (found = known.find(word.substr(0, length))) != known.end()) break;
      }
      if (length == 0) {
        out.resize(n_before);
        return out.push_back(file.unknown);
      }
      out.push_back(found->second);
      word.remove_prefix(length);
    }
  }

  // False once `out` is full.
  bool append_plain(std::string_view text, size_t n_max, Tokens& out) const {
    for_each_bert_word(text, file.rules, [&](std::string_view word) {
      append_word(word, out);
      return out.size() < n_max;
    });
    return out.size() < n_max;
  }

  void append(std::string_view text, size_t n_max, Tokens& out) const {
    size_t plain_from = 0;
    for (size_t at = 0; at < text.size(); ++at) {
      const auto added = std::find_if(file.added.begin(), file.added.end(), [&](const auto& token) {
        return text.substr(at).starts_with(token.first);
      });
      if (added == file.added.end()) continue;
      if (!append_plain(text.substr(plain_from, at - plain_from), n_max, out)) return;
      out.push_back(added->second);
      plain_from = at + added->first.size();
      at = plain_from - 1;
    }
    append_plain(text.substr(plain_from), n_max, out);
  }
};

WordPieceTokenizer::WordPieceTokenizer(std::unique_ptr<const Data> data) : data_(std::move(data)) {}
WordPieceTokenizer::~WordPieceTokenizer() = default;
WordPieceTokenizer::WordPieceTokenizer(WordPieceTokenizer&&) noexcept = default;
WordPieceTokenizer& WordPieceTokenizer::operator=(WordPieceTokenizer&&) noexcept = default;

Result<WordPieceTokenizer> WordPieceTokenizer::load(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "tokenizer.json";
  TANDEM_ASSIGN(const std::string text, read_file(path, limits::kTokenizerBytesMax));
  auto tokenizer = parse(text);
  if (!tokenizer) return fail_in(path.string(), std::move(tokenizer).error());
  return tokenizer;
}

Result<WordPieceTokenizer> WordPieceTokenizer::parse(std::string_view tokenizer_json) {
  TANDEM_ASSIGN(WordPieceFile file, parse_word_piece_json(tokenizer_json));
  return WordPieceTokenizer(std::make_unique<const Data>(std::move(file), hash128(tokenizer_json).to_hex()));
}

Tokens WordPieceTokenizer::encode(std::string_view text, size_t n_tokens_max) const {
  const WordPieceFile& file = data_->file;
  const size_t n_around = file.before.size() + file.after.size();
  TANDEM_ASSERT(n_tokens_max >= n_around, "there is room for the marks around a text");
  const size_t n_max = n_tokens_max - file.after.size();
  Tokens ids = file.before;
  if (ids.size() < n_max) {
    if (utf8_valid_prefix(text) == text.size()) {
      data_->append(text, n_max, ids);
    } else {
      data_->append(utf8_lossy(text), n_max, ids);
    }
  }
  if (ids.size() > n_max) ids.resize(n_max);
  ids.insert(ids.end(), file.after.begin(), file.after.end());
  return ids;
}

size_t WordPieceTokenizer::n_vocab() const {
  return data_->file.tokens.size();
}
bool WordPieceTokenizer::lowercases() const {
  return data_->file.rules.lowercase;
}
std::string_view WordPieceTokenizer::fingerprint() const {
  return data_->fingerprint;
}

}  // namespace tandem::engine
