#include "worker/engine/tokenizer/tokenizer_gguf.h"

#include "shared/base/hash.h"
#include "shared/base/utf8.h"

namespace tandem::engine {
namespace {

// What llama.cpp's pre-tokenizer "qwen2" stands for: the pattern in the tokenizer.json of Qwen1.5 to Qwen3.
constexpr char kQwen2Pattern[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// tokenizer.ggml.token_type
constexpr int64_t kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5;

std::string key_of(const char* name) {
  return std::string("tokenizer.ggml.") + name;
}
std::string found_at(const GgufValue* value) {
  return value == nullptr ? "nothing" : value->shown();
}

Result<const std::vector<std::string_view>*> texts(const GgufFile& gguf, const char* name) {
  const GgufValue* value = gguf.find(key_of(name));
  const auto* list = value == nullptr ? nullptr : value->texts();
  if (list == nullptr) {
    return fail(ErrorCode::kCorrupt,
                "'" + key_of(name) + "': expected a list of texts, found " + found_at(value));
  }
  return list;
}

Result<void> only(const GgufFile& gguf, const char* name, std::string_view supported) {
  const GgufValue* value = gguf.find(key_of(name));
  if (value != nullptr && value->text() == supported) return {};
  return fail(ErrorCode::kUnsupported, "'" + key_of(name) + "': supported is '" + std::string(supported) +
                                           "', found " + found_at(value));
}

Result<void> only_off(const GgufFile& gguf, const char* name) {
  const GgufValue* value = gguf.find(key_of(name));
  if (value == nullptr || value->flag() == false) return {};
  return fail(ErrorCode::kUnsupported, "'" + key_of(name) + "': supported is false, found " + value->shown());
}

Result<void> read_tokens(const GgufFile& gguf, Spelled& spelled) {
  TANDEM_ASSIGN(const auto* tokens, texts(gguf, "tokens"));
  const GgufValue* types = gguf.find(key_of("token_type"));
  const auto kinds = types == nullptr ? std::nullopt : types->integers();
  if (!kinds || kinds->size() != tokens->size()) {
    return fail(ErrorCode::kCorrupt, "'" + key_of("token_type") + "': expected a number for each of " +
                                         std::to_string(tokens->size()) + " tokens, found " +
                                         found_at(types));
  }
  size_t n = tokens->size();
  while (n > 0 && (*kinds)[n - 1] == kUnused) --n;
  for (size_t i = 0; i < n; ++i) {
    std::string token((*tokens)[i]);
    const auto place = [&] { return "token " + std::to_string(i) + " " + in_quotes(token); };
    if (utf8_valid_prefix(token) != token.size()) {
      return fail(ErrorCode::kCorrupt, place() + ": expected UTF-8");
    }
    const int64_t kind = (*kinds)[i], id = static_cast<int64_t>(i);
    if (kind == kNormal) {
      spelled.words.emplace_back(std::move(token), id);
    } else if (kind == kControl || kind == kUserDefined) {
      spelled.added.push_back({std::move(token), id, kind == kControl});
    } else {
      return fail(
          ErrorCode::kUnsupported,
          place() + ": supported are the types 1, 3 and 4, and 5 at the end, found " + std::to_string(kind));
    }
  }
  return {};
}

Result<void> read_merges(const GgufFile& gguf, Spelled& spelled) {
  TANDEM_ASSIGN(const auto* merges, texts(gguf, "merges"));
  for (const std::string_view merge : *merges) {
    const size_t space = merge.find(' ');
    if (space == std::string_view::npos || merge.find(' ', space + 1) != std::string_view::npos) {
      return fail(ErrorCode::kCorrupt, "merge " + std::to_string(spelled.merges.size()) +
                                           ": expected two tokens, found " + in_quotes(merge));
    }
    spelled.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  return {};
}

}  // namespace

Result<TokenizerFile> read_gguf_tokenizer(const GgufFile& gguf) {
  // First whether it is our kind at all: that is the more useful error.
  TANDEM_TRY(only(gguf, "model", "gpt2"));
  TANDEM_TRY(only(gguf, "pre", "qwen2"));
  TANDEM_TRY(only_off(gguf, "add_bos_token"));
  TANDEM_TRY(only_off(gguf, "add_eos_token"));
  TANDEM_TRY(only_off(gguf, "add_space_prefix"));
  Spelled spelled;
  TANDEM_TRY(read_tokens(gguf, spelled));
  TANDEM_TRY(read_merges(gguf, spelled));
  TokenizerFile file;
  file.split_pattern = kQwen2Pattern;
  file.nfc = true;
  TANDEM_TRY(place_vocabulary(spelled, file));
  return file;
}

std::string gguf_tokenizer_fingerprint(const GgufFile& gguf) {
  HashBuilder hash;
  hash.add(std::string_view("tandem-gguf-tokenizer-1"));
  for (const char* name : {"tokens", "merges"}) {
    const GgufValue* value = gguf.find(key_of(name));
    const auto* list = value == nullptr ? nullptr : value->texts();
    hash.add(uint64_t{list == nullptr ? 0 : list->size()});
    if (list == nullptr) continue;
    for (const std::string_view text : *list) hash.add(text);
  }
  const GgufValue* types = gguf.find(key_of("token_type"));
  const auto kinds = types == nullptr ? std::nullopt : types->integers();
  if (kinds) {
    for (const int64_t kind : *kinds) hash.add(static_cast<uint64_t>(kind));
  }
  return hash.finish().to_hex();
}

}  // namespace tandem::engine
