#include "worker/engine/tokenizer/tokenizer_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "shared/base/utf8.h"
#include "worker/engine/tokenizer/byte_alphabet.h"

namespace tandem::engine {
namespace {

using nlohmann::json;

tl::unexpected<Error> corrupt(std::string text) {
  return fail(ErrorCode::kCorrupt, std::move(text));
}
tl::unexpected<Error> unsupported(std::string text) {
  return fail(ErrorCode::kUnsupported, std::move(text));
}

// A text of the file as it may stand in an error.
std::string in_quotes(std::string_view text) {
  return "'" + utf8_lossy(text.substr(0, 60)) + (text.size() > 60 ? "...'" : "'");
}

// Short JSON of `value`, for "found ...".
std::string shown(const json& value) {
  const std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  return text.size() > 80 ? utf8_lossy(text.substr(0, 80)) + "..." : text;
}

// The two big parts of the file. They are taken out while it is read: 300,000 small JSON values less to
// build.
struct BigParts {
  std::vector<std::pair<std::string, int64_t>> vocab;
  std::vector<std::pair<std::string, std::string>> merges;
  std::string mistake;  // the first one
};

class BigPartsReader {
 public:
  explicit BigPartsReader(BigParts& parts) : parts_(parts) {}

  // As nlohmann's parser_callback_t: false drops the value.
  bool operator()(int depth, json::parse_event_t event, json& value) {
    if (event == Event::key && depth == 1) in_model_ = value == "model";
    if (event == Event::key && depth == 2) key_ = value.get_ref<const std::string&>();
    if (depth < 2 || !in_model_) return true;
    if (depth == 2) {
      if (event == Event::object_start) part_ = key_ == "vocab" ? Part::kVocab : Part::kNone;
      if (event == Event::array_start) part_ = key_ == "merges" ? Part::kMerges : Part::kNone;
      if (event == Event::object_end || event == Event::array_end) part_ = Part::kNone;
      return true;
    }
    if (part_ == Part::kVocab) return vocab(depth, event, value);
    if (part_ == Part::kMerges) return merge(depth, event, value);
    return true;
  }

 private:
  enum class Part { kNone, kVocab, kMerges };
  using Event = json::parse_event_t;

  bool vocab(int depth, Event event, json& value) {
    if (depth == 3 && event == Event::key) {
      token_ = std::move(value.get_ref<std::string&>());
    } else if (depth == 3 && event == Event::value && value.is_number_integer()) {
      const bool too_big = value.is_number_unsigned() && value.get<uint64_t>() > INT32_MAX;
      parts_.vocab.emplace_back(std::move(token_), too_big ? INT64_MAX : value.get<int64_t>());
    } else if (depth == 3 && event != Event::object_end && event != Event::array_end) {
      mistake("model.vocab: expected a number for token " + in_quotes(token_) + ", found " +
              (event == Event::value ? shown(value) : "an object or array"));
    }
    return false;
  }

  // A merge is "a b" (older files) or ["a", "b"].
  bool merge(int depth, Event event, json& value) {
    const auto place = [&] {
      return "merge " + std::to_string(parts_.merges.size()) + ": expected two tokens, found ";
    };
    if (depth == 3 && event == Event::value) {
      if (!value.is_string()) return mistake(place() + shown(value));
      const auto& text = value.get_ref<const std::string&>();
      const size_t space = text.find(' ');
      if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
        return mistake(place() + in_quotes(text));
      }
      parts_.merges.emplace_back(text.substr(0, space), text.substr(space + 1));
      return false;
    }
    if (depth == 3 && event == Event::array_start) {
      n_in_pair_ = 0;
      return true;  // or its strings would not be shown to us
    }
    if (depth == 4 && event == Event::value && value.is_string() && n_in_pair_ < 2) {
      pair_[n_in_pair_++] = std::move(value.get_ref<std::string&>());
      return false;
    }
    if (depth == 3 && event == Event::array_end) {
      if (n_in_pair_ != 2) return mistake(place() + std::to_string(n_in_pair_));
      parts_.merges.emplace_back(std::move(pair_[0]), std::move(pair_[1]));
      return false;
    }
    return mistake(place() + "something else");
  }

  bool mistake(std::string text) {
    if (parts_.mistake.empty()) parts_.mistake = std::move(text);
    return false;
  }

  BigParts& parts_;
  bool in_model_ = false;
  std::string key_;
  Part part_ = Part::kNone;
  std::string token_;
  std::string pair_[2];
  size_t n_in_pair_ = 0;
};

std::string type_of(const json& part) {
  return part.is_object() && part.contains("type") ? shown(part["type"]) : shown(part);
}
bool is_type(const json& part, std::string_view type) {
  return part.is_object() && part.contains("type") && part["type"] == type;
}
// A member that may be absent or null, which is the same.
const json& member(const json& object, const char* name) {
  static const json kNull;
  const auto found = object.find(name);
  return found == object.end() ? kNull : *found;
}
bool is_off(const json& value) {
  return value.is_null() || value == false || value == "" || value == 0.0;
}

Result<void> check_byte_level(const json& part, const std::string& name, bool splits) {
  if (!is_type(part, "ByteLevel"))
    return unsupported(name + ": expected type \"ByteLevel\", found " + type_of(part));
  if (splits && part.value("add_prefix_space", true)) {
    return unsupported(name + ": expected add_prefix_space false, found true");
  }
  if (splits && part.value("use_regex", true))
    return unsupported(name + ": expected use_regex false, found true");
  return {};
}

// Everything around the model: only what Qwen's tokenizers have.
Result<void> read_pipeline(const json& root, TokenizerFile& file) {
  const json& normalizer = member(root, "normalizer");
  if (!normalizer.is_null() && !is_type(normalizer, "NFC")) {
    return unsupported("normalizer: expected \"NFC\" or none, found " + type_of(normalizer));
  }
  file.nfc = !normalizer.is_null();

  const json& pre = member(root, "pre_tokenizer");
  if (!is_type(pre, "Sequence") || member(pre, "pretokenizers").size() != 2 ||
      !pre["pretokenizers"].is_array()) {
    return unsupported("pre_tokenizer: expected a \"Sequence\" of Split and ByteLevel, found " +
                       type_of(pre));
  }
  const json& split = pre["pretokenizers"][0];
  if (!is_type(split, "Split")) {
    return unsupported("pre_tokenizer: expected \"Split\" as the first, found " + type_of(split));
  }
  const json& pattern = member(split, "pattern");
  if (!pattern.is_object() || !member(pattern, "Regex").is_string()) {
    return unsupported("pre_tokenizer: expected a Split by \"Regex\", found " + shown(pattern));
  }
  if (member(split, "behavior") != "Isolated" || !is_off(member(split, "invert"))) {
    return unsupported("pre_tokenizer: expected a Split with behavior \"Isolated\", not inverted, found " +
                       shown(member(split, "behavior")));
  }
  file.split_pattern = pattern["Regex"].get<std::string>();
  TANDEM_TRY(check_byte_level(pre["pretokenizers"][1], "pre_tokenizer", true));

  const json& post = member(root, "post_processor");
  if (!post.is_null()) TANDEM_TRY(check_byte_level(post, "post_processor", false));
  return check_byte_level(member(root, "decoder"), "decoder", false);
}

Result<void> read_model_flags(const json& model, TokenizerFile& file) {
  if (!is_type(model, "BPE")) {
    return unsupported("model: expected a byte-level \"BPE\", found " +
                       (model.is_null() ? "none" : type_of(model)));
  }
  for (const char* flag : {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"}) {
    if (!is_off(member(model, flag))) {
      return unsupported("model: expected no " + std::string(flag) + ", found " + shown(member(model, flag)));
    }
  }
  for (const char* part : {"vocab", "merges"}) {
    if (!model.contains(part)) return corrupt("model: has no " + std::string(part));
  }
  if (!model["vocab"].is_object())
    return corrupt("model.vocab: expected an object, found " + shown(model["vocab"]));
  if (!model["merges"].is_array())
    return corrupt("model.merges: expected an array, found " + shown(model["merges"]));
  file.ignore_merges = model.value("ignore_merges", false);
  return {};
}

struct Numbered {
  std::string text;  // spelling of a vocabulary token, or text of an added one
  int64_t id = 0;
  bool added = false;
};

Result<void> read_added_tokens(const json& list, const BigParts& parts, TokenizerFile& file,
                               std::vector<Numbered>& numbered) {
  if (list.is_null()) return {};
  if (!list.is_array()) return corrupt("added_tokens: expected an array, found " + shown(list));
  std::unordered_map<std::string_view, int64_t> vocab;
  if (!list.empty()) {
    vocab.reserve(parts.vocab.size());
    for (const auto& [spelling, id] : parts.vocab) vocab.emplace(spelling, id);
  }
  std::unordered_set<std::string> seen;
  for (const json& token : list) {
    if (!token.is_object() || !member(token, "content").is_string() ||
        !member(token, "id").is_number_integer()) {
      return corrupt("added_tokens: expected objects with content and id, found " + shown(token));
    }
    const auto text = token["content"].get<std::string>();
    const auto id = token["id"].get<int64_t>();
    if (text.empty()) return corrupt("added_tokens: token " + std::to_string(id) + " is empty");
    for (const char* flag : {"single_word", "lstrip", "rstrip", "normalized"}) {
      if (!is_off(member(token, flag))) {
        return unsupported("added_tokens: expected " + std::string(flag) + " false, found true for " +
                           in_quotes(text));
      }
    }
    if (!seen.insert(text).second) return corrupt("added_tokens: " + in_quotes(text) + " is there twice");
    const auto word = vocab.find(text);
    if (word != vocab.end() && word->second != id) {
      return corrupt("added_tokens: " + in_quotes(text) + " has id " + std::to_string(id) + ", but " +
                     std::to_string(word->second) + " in model.vocab");
    }
    // One that is in the vocabulary as well keeps its place there, and is told by `added`.
    if (word == vocab.end()) numbered.push_back({text, id, true});
    file.added_tokens.push_back({static_cast<TokenId>(id), text, token.value("special", false)});
  }
  return {};
}

// Ids must be 0 to n-1, once each.
Result<void> place_tokens(std::vector<Numbered> numbered, TokenizerFile& file) {
  const size_t n = numbered.size();
  file.tokens.resize(n);
  file.added.resize(n);
  std::optional<size_t> out_of_range;
  for (size_t i = 0; i < n; ++i) {
    Numbered& token = numbered[i];
    if (token.id < 0 || token.id >= static_cast<int64_t>(n)) {
      out_of_range = i;
      continue;
    }
    const auto id = static_cast<size_t>(token.id);
    if (!file.tokens[id].empty()) {
      return corrupt("vocabulary: id " + std::to_string(id) + " is given twice, the second time to " +
                     in_quotes(token.text));
    }
    if (token.added) {
      file.tokens[id] = std::move(token.text);
    } else {
      std::optional<std::string> bytes = bytes_of_spelling(token.text);
      if (!bytes || bytes->empty()) {
        return unsupported("vocabulary: expected byte-level tokens, found " + in_quotes(token.text) +
                           " with id " + std::to_string(id));
      }
      file.tokens[id] = *std::move(bytes);
    }
  }
  if (out_of_range) {
    const auto hole = std::find(file.tokens.begin(), file.tokens.end(), "") - file.tokens.begin();
    const Numbered& token = numbered[*out_of_range];
    return corrupt("vocabulary: expected the ids 0 to " + std::to_string(n - 1) + " once each, found " +
                   (token.id == INT64_MAX ? "one above 2147483647" : std::to_string(token.id)) + " for " +
                   in_quotes(token.text) + " and none with " + std::to_string(hole));
  }
  for (const AddedToken& token : file.added_tokens) file.added[static_cast<size_t>(token.id)] = true;
  return {};
}

Result<void> read_merges(const BigParts& parts, TokenizerFile& file) {
  // By spelling, as the file has it. Nothing else can be spelled the same: the alphabet is one to one.
  std::unordered_map<std::string_view, TokenId> ids;
  ids.reserve(parts.vocab.size());
  for (const auto& [spelling, id] : parts.vocab) ids.emplace(spelling, static_cast<TokenId>(id));

  std::unordered_set<uint64_t> seen;
  seen.reserve(parts.merges.size());
  file.merges.reserve(parts.merges.size());
  for (const auto& [left, right] : parts.merges) {
    const auto place = [&] { return "merge " + std::to_string(file.merges.size()) + ": "; };
    const std::string joined = left + right;
    for (const std::string_view token :
         {std::string_view(left), std::string_view(right), std::string_view(joined)}) {
      if (!ids.contains(token)) return corrupt(place() + in_quotes(token) + " is not in the vocabulary");
    }
    const Merge merge{ids.at(left), ids.at(right), ids.at(joined)};
    if (!seen.insert(uint64_t{static_cast<uint32_t>(merge.left)} << 32 | static_cast<uint32_t>(merge.right))
             .second) {
      return corrupt(place() + in_quotes(left) + " with " + in_quotes(right) + " is there twice");
    }
    file.merges.push_back(merge);
  }

  file.byte_ids.fill(-1);
  for (size_t id = 0; id < file.tokens.size(); ++id) {
    if (file.tokens[id].size() == 1 && !file.added[id]) {
      file.byte_ids[static_cast<uint8_t>(file.tokens[id][0])] = static_cast<TokenId>(id);
    }
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    if (file.byte_ids[byte] >= 0) continue;
    return corrupt("vocabulary: expected a token for every byte, found none for byte " +
                   std::to_string(byte));
  }
  return {};
}

}  // namespace

Result<TokenizerFile> parse_tokenizer_json(std::string_view text) try {
  BigParts parts;
  const json root = json::parse(text, json::parser_callback_t(BigPartsReader(parts)));
  if (!root.is_object()) return corrupt("expected a JSON object, found " + shown(root));
  TokenizerFile file;
  // First whether it is our kind at all: that is the more useful error.
  const json& model = member(root, "model");
  TANDEM_TRY(read_model_flags(model, file));
  TANDEM_TRY(read_pipeline(root, file));
  if (!parts.mistake.empty()) return corrupt(parts.mistake);

  std::vector<Numbered> numbered;
  numbered.reserve(parts.vocab.size() + 64);
  TANDEM_TRY(read_added_tokens(member(root, "added_tokens"), parts, file, numbered));
  for (const auto& [spelling, id] : parts.vocab) numbered.push_back({spelling, id, false});
  TANDEM_TRY(place_tokens(std::move(numbered), file));
  TANDEM_TRY(read_merges(parts, file));
  return file;
} catch (const json::parse_error& error) {
  // "[json.exception.parse_error.101] parse error at line 1, column 9: syntax error ..."
  const std::string_view what = error.what();
  const size_t from = what.find("] ");
  return corrupt("expected JSON, found a mistake at byte " + std::to_string(error.byte) + ": " +
                 utf8_lossy(what.substr(from == std::string_view::npos ? 0 : from + 2, 200)));
} catch (const json::exception& error) {
  return corrupt(utf8_lossy(std::string_view(error.what()).substr(0, 200)));
}

}  // namespace tandem::engine
