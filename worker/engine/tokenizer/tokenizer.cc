#include "worker/engine/tokenizer/tokenizer.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>
#include <vector>

#include "shared/base/file.h"
#include "shared/base/hash.h"
#include "shared/base/limits.h"
#include "shared/base/utf8.h"
#include "worker/engine/tokenizer/bpe.h"
#include "worker/engine/tokenizer/nfc.h"
#include "worker/engine/tokenizer/splitter.h"
#include "worker/engine/tokenizer/tokenizer_gguf.h"
#include "worker/engine/tokenizer/tokenizer_json.h"

namespace tandem::engine {

struct Tokenizer::Data {
  TokenizerFile file;
  Bpe bpe;
  Splitter splitter;
  std::string fingerprint;
  std::vector<bool> special;  // by id
  std::unordered_map<std::string_view, TokenId> added_ids;
  std::array<std::vector<const AddedToken*>, 256> added_by_first_byte;  // longest first

  Data(TokenizerFile f, Splitter s, std::string hash)
      : file(std::move(f)),
        bpe(file.tokens, file.added, file.merges, file.byte_ids, file.ignore_merges),
        splitter(std::move(s)),
        fingerprint(std::move(hash)),
        special(file.tokens.size()) {
    file.merges = {};  // Bpe has them in its own form
    for (const AddedToken& token : file.added_tokens) {
      if (token.special) special[static_cast<size_t>(token.id)] = true;
      added_ids.emplace(token.text, token.id);
      added_by_first_byte[static_cast<uint8_t>(token.text[0])].push_back(&token);
    }
    for (auto& tokens : added_by_first_byte) {
      std::sort(tokens.begin(), tokens.end(),
                [](const AddedToken* a, const AddedToken* b) { return a->text.size() > b->text.size(); });
    }
  }
  Data(const Data&) = delete;
  Data& operator=(const Data&) = delete;

  bool knows(TokenId id) const { return id >= 0 && static_cast<size_t>(id) < file.tokens.size(); }

  // The longest added token that `text` begins with.
  const AddedToken* added_at(std::string_view text) const {
    for (const AddedToken* token : added_by_first_byte[static_cast<uint8_t>(text[0])]) {
      if (text.starts_with(token->text)) return token;
    }
    return nullptr;
  }

  // `text` is valid UTF-8 from here on.
  void append_plain(std::string_view text, Tokens& out) const {
    const auto append = [&](std::string_view normal) {
      splitter.split(normal, [&](std::string_view piece) { bpe.encode(piece, out); });
    };
    if (!file.nfc || is_surely_nfc(text)) {
      append(text);
    } else {
      append(to_nfc(text));
    }
  }

  void append_recognising(std::string_view text, Tokens& out) const {
    size_t plain_from = 0, at = 0;
    while (at < text.size()) {
      const AddedToken* token = added_at(text.substr(at));
      if (token == nullptr) {
        ++at;
        continue;
      }
      append_plain(text.substr(plain_from, at - plain_from), out);
      out.push_back(token->id);
      plain_from = at += token->text.size();
    }
    append_plain(text.substr(plain_from), out);
  }
};

namespace {

// Calls `use` with `text`, or with its repaired copy.
template <typename Use>
void as_utf8(std::string_view text, const Use& use) {
  if (utf8_valid_prefix(text) == text.size()) {
    use(text);
  } else {
    use(utf8_lossy(text));
  }
}

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<Data> data) : data_(std::move(data)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Result<Tokenizer> Tokenizer::load(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "tokenizer.json";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    TANDEM_ASSIGN(const auto gguf, gguf_file_of(folder));
    if (gguf) return load_gguf(*gguf);
  }
  TANDEM_ASSIGN(const std::string text, read_file(path, limits::kTokenizerBytesMax));
  auto tokenizer = parse(text);
  if (!tokenizer) return fail_in(path.string(), std::move(tokenizer).error());
  return tokenizer;
}

Result<Tokenizer> Tokenizer::load_gguf(const std::filesystem::path& path) {
  TANDEM_ASSIGN(const MappedFile mapped, MappedFile::open(path));
  const auto gguf = parse_gguf(mapped.bytes());
  if (!gguf) return fail_in(path.string(), gguf.error());
  auto file = read_gguf_tokenizer(*gguf);
  if (!file) return fail_in(path.string(), std::move(file).error());
  TANDEM_ASSIGN(Splitter splitter, Splitter::compile(file->split_pattern));
  return Tokenizer(
      std::make_unique<Data>(*std::move(file), std::move(splitter), gguf_tokenizer_fingerprint(*gguf)));
}

Result<Tokenizer> Tokenizer::parse(std::string_view tokenizer_json) {
  TANDEM_ASSIGN(TokenizerFile file, parse_tokenizer_json(tokenizer_json));
  TANDEM_ASSIGN(Splitter splitter, Splitter::compile(file.split_pattern));
  return Tokenizer(
      std::make_unique<Data>(std::move(file), std::move(splitter), hash128(tokenizer_json).to_hex()));
}

Tokens Tokenizer::encode(std::string_view text) const {
  Tokens ids;
  as_utf8(text, [&](std::string_view valid) { data_->append_recognising(valid, ids); });
  return ids;
}

Tokens Tokenizer::encode_plain(std::string_view text) const {
  Tokens ids;
  as_utf8(text, [&](std::string_view valid) { data_->append_plain(valid, ids); });
  return ids;
}

Result<Tokens> Tokenizer::encode(std::span<const PromptPiece> pieces) const {
  Tokens ids;
  std::string plain;  // what has come since the last special piece
  const auto flush = [&] {
    as_utf8(plain, [&](std::string_view valid) { data_->append_plain(valid, ids); });
    plain.clear();
  };
  for (const PromptPiece& piece : pieces) {
    if (piece.kind == PromptPiece::Kind::kPlain) {
      plain += piece.text;
      continue;
    }
    const std::optional<TokenId> id = special_id(piece.text);
    if (!id) {
      return fail(ErrorCode::kNotFound, "expected a special token of this tokenizer, found '" +
                                            utf8_lossy(piece.text.substr(0, 60)) + "'");
    }
    flush();
    ids.push_back(*id);
  }
  flush();
  return ids;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  std::string bytes;
  for (const TokenId id : ids) {
    if (!(skip_special && is_special(id))) bytes += token_bytes(id);
  }
  return utf8_valid_prefix(bytes) == bytes.size() ? bytes : utf8_lossy(bytes);
}

std::string_view Tokenizer::token_bytes(TokenId id) const {
  return data_->knows(id) ? std::string_view(data_->file.tokens[static_cast<size_t>(id)])
                          : std::string_view();
}

std::optional<TokenId> Tokenizer::special_id(std::string_view spelling) const {
  const auto found = data_->added_ids.find(spelling);
  if (found == data_->added_ids.end()) return std::nullopt;
  return found->second;
}

bool Tokenizer::is_special(TokenId id) const {
  return data_->knows(id) && data_->special[static_cast<size_t>(id)];
}
size_t Tokenizer::n_vocab() const {
  return data_->file.tokens.size();
}
std::string_view Tokenizer::fingerprint() const {
  return data_->fingerprint;
}

}  // namespace tandem::engine
