#include "worker/engine/tokenizer/word_piece_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "shared/base/utf8.h"
#include "worker/engine/tokenizer/vocabulary.h"

namespace tandem::engine {
namespace {

using nlohmann::json;

constexpr size_t kWordCharactersMax = 1000;  // real: 100; a word takes time that is quadratic in it
constexpr size_t kMarksMax = 8;              // around a text; real: one on each side
constexpr size_t kAddedMax = 1000;           // each is looked for at each place of a text; real: 5

using Ids = std::unordered_map<std::string_view, TokenId>;

tl::unexpected<Error> corrupt(std::string text) {
  return fail(ErrorCode::kCorrupt, std::move(text));
}
tl::unexpected<Error> unsupported(std::string text) {
  return fail(ErrorCode::kUnsupported, std::move(text));
}
std::string shown(const json& value) {
  const std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  return text.size() > 80 ? utf8_lossy(text.substr(0, 80)) + "..." : text;
}
// A member that may be absent or null, which is the same; null of what is no object.
const json& member(const json& object, const char* name) {
  static const json kNull;
  const auto found = object.is_object() ? object.find(name) : object.end();
  return found == object.end() ? kNull : *found;
}
bool is_type(const json& part, std::string_view type) {
  return member(part, "type") == type;
}
std::string type_of(const json& part) {
  return is_type(part, "") || member(part, "type").is_null() ? shown(part) : shown(member(part, "type"));
}

Result<bool> flag(const json& part, const char* name) {
  const json& value = member(part, name);
  if (value.is_boolean()) return value.get<bool>();
  return corrupt("normalizer: expected '" + std::string(name) + "' to be true or false, found " +
                 shown(value));
}

Result<void> read_rules(const json& root, BertWordRules& rules) {
  const json& normalizer = member(root, "normalizer");
  if (!is_type(normalizer, "BertNormalizer")) {
    return unsupported("normalizer: expected \"BertNormalizer\", found " + type_of(normalizer));
  }
  TANDEM_ASSIGN(rules.clean, flag(normalizer, "clean_text"));
  TANDEM_ASSIGN(rules.split_chinese, flag(normalizer, "handle_chinese_chars"));
  TANDEM_ASSIGN(rules.lowercase, flag(normalizer, "lowercase"));
  rules.strip_accents = rules.lowercase;  // what null stands for
  if (!member(normalizer, "strip_accents").is_null()) {
    TANDEM_ASSIGN(rules.strip_accents, flag(normalizer, "strip_accents"));
  }
  const json& pre = member(root, "pre_tokenizer");
  if (is_type(pre, "BertPreTokenizer")) return {};
  return unsupported("pre_tokenizer: expected \"BertPreTokenizer\", found " + type_of(pre));
}

Result<Ids> read_tokens(const json& vocab, const json& added, WordPieceFile& file) {
  std::vector<std::pair<std::string_view, const json*>> all;
  for (const auto& [token, id] : vocab.items()) all.emplace_back(token, &id);
  if (!added.is_null() && (!added.is_array() || added.size() > kAddedMax)) {
    return corrupt("added_tokens: expected a list of at most " + std::to_string(kAddedMax) + ", found " +
                   shown(added));
  }
  for (const json& token : added) {
    const json &content = member(token, "content"), &id = member(token, "id");
    if (!content.is_string() || !id.is_number_unsigned()) {
      return corrupt("added_tokens: expected objects with content and id, found " + shown(token));
    }
    const auto& text = content.get_ref<const std::string&>();
    for (const char* option : {"single_word", "lstrip", "rstrip", "normalized"}) {
      if (member(token, option) == true) {
        return unsupported("added_tokens: expected " + std::string(option) + " false, found true for " +
                           in_quotes(text));
      }
    }
    if (!vocab.contains(text)) {
      all.emplace_back(text, &id);
    } else if (vocab[text] != id) {
      return corrupt("added_tokens: " + in_quotes(text) + " has id " + shown(id) + ", but " +
                     shown(vocab[text]) + " in model.vocab");
    }
    if (text.empty()) return corrupt("added_tokens: token " + shown(id) + " is empty");
    file.added.emplace_back(text, id.get<uint64_t>());
  }

  Ids ids;
  file.tokens.resize(all.size());
  for (const auto& [token, id] : all) {
    if (!id->is_number_unsigned() || id->get<uint64_t>() >= all.size()) {
      return corrupt("vocabulary: expected the ids 0 to " + std::to_string(all.size() - 1) +
                     " once each, found " + shown(*id) + " for " + in_quotes(token));
    }
    std::string& place = file.tokens[id->get<uint64_t>()];
    if (token.empty() || !place.empty()) {
      return corrupt("vocabulary: id " + shown(*id) + ": expected one token that is not empty, found " +
                     in_quotes(token) + " and " + in_quotes(place));
    }
    place = token;
    if (!ids.emplace(token, static_cast<TokenId>(id->get<uint64_t>())).second) {
      return corrupt("added_tokens: " + in_quotes(token) + " is there twice");
    }
  }
  return ids;
}

Result<void> read_model(const json& model, const json& added, WordPieceFile& file, Ids& ids) {
  if (!is_type(model, "WordPiece")) {
    return unsupported("model: expected \"WordPiece\", found " + type_of(model));
  }
  const json &vocab = member(model, "vocab"), &prefix = member(model, "continuing_subword_prefix"),
             &unknown = member(model, "unk_token"), &longest = member(model, "max_input_chars_per_word");
  if (!vocab.is_object() || vocab.empty()) {
    return corrupt("model.vocab: expected an object with tokens, found " + shown(vocab));
  }
  TANDEM_ASSIGN(ids, read_tokens(vocab, added, file));
  if (!prefix.is_string() || prefix == "") {
    return corrupt("model.continuing_subword_prefix: expected a text such as \"##\", found " + shown(prefix));
  }
  file.prefix = prefix.get<std::string>();
  if (!longest.is_number_unsigned() || longest.get<uint64_t>() > kWordCharactersMax) {
    return corrupt("model.max_input_chars_per_word: expected 0 to " + std::to_string(kWordCharactersMax) +
                   ", found " + shown(longest));
  }
  file.word_characters_max = longest.get<size_t>();
  const auto id = unknown.is_string() ? ids.find(unknown.get_ref<const std::string&>()) : ids.end();
  if (id == ids.end()) return corrupt("model.unk_token: expected a token, found " + shown(unknown));
  file.unknown = id->second;
  return {};
}

// One mark around a text; `spelled` may be a token, or a name that special_tokens gives ids.
Result<void> add_marks(const json& spelled, const json& special, const Ids& ids, Tokens& marks) {
  const auto known = spelled.is_string() ? ids.find(spelled.get_ref<const std::string&>()) : ids.end();
  const json& named =
      spelled.is_string() ? member(special, spelled.get_ref<const std::string&>().c_str()) : spelled;
  if (const json& list = member(named, "ids"); list.is_array()) {
    for (const json& id : list) {
      if (!id.is_number_unsigned() || id.get<uint64_t>() >= ids.size()) {
        return corrupt("post_processor: expected ids of tokens, found " + shown(list));
      }
      marks.push_back(static_cast<TokenId>(id.get<uint64_t>()));
    }
  } else if (known != ids.end()) {
    marks.push_back(known->second);
  } else {
    return corrupt("post_processor: expected a token, found " + shown(spelled));
  }
  if (marks.size() > kMarksMax)
    return unsupported("post_processor: expected one mark on each side of a text");
  return {};
}

Result<void> read_template(const json& post, const Ids& ids, WordPieceFile& file) {
  if (is_type(post, "BertProcessing")) {  // {"sep": ["[SEP]", 102], "cls": ["[CLS]", 101]}
    const auto first = [](const json& pair) { return pair.is_array() && !pair.empty() ? pair[0] : pair; };
    TANDEM_TRY(add_marks(first(member(post, "cls")), json(), ids, file.before));
    return add_marks(first(member(post, "sep")), json(), ids, file.after);
  }
  const json& parts = member(post, "single");
  if (!is_type(post, "TemplateProcessing") || !parts.is_array()) {
    return unsupported("post_processor: expected \"TemplateProcessing\" or \"BertProcessing\", found " +
                       type_of(post));
  }
  bool text_seen = false;
  for (const json& part : parts) {
    const json &mark = member(part, "SpecialToken"), &text = member(part, "Sequence");
    if (member(mark.is_null() ? text : mark, "type_id") != 0 || (mark.is_null() && text_seen)) {
      return unsupported("post_processor: expected one text and marks of type 0, found " + shown(part));
    }
    if (mark.is_null()) {
      text_seen = true;
    } else {
      TANDEM_TRY(add_marks(member(mark, "id"), member(post, "special_tokens"), ids,
                           text_seen ? file.after : file.before));
    }
  }
  if (!text_seen) return corrupt("post_processor: expected a place for the text, found " + shown(parts));
  return {};
}

}  // namespace

Result<WordPieceFile> parse_word_piece_json(std::string_view text) try {
  const json root = json::parse(text);
  if (!root.is_object()) return corrupt("expected a JSON object, found " + shown(root));
  WordPieceFile file;
  Ids ids;  // views into `root`
  TANDEM_TRY(read_model(member(root, "model"), member(root, "added_tokens"), file, ids));
  TANDEM_TRY(read_rules(root, file.rules));
  TANDEM_TRY(read_template(member(root, "post_processor"), ids, file));
  return file;
} catch (const json::exception& error) {
  return corrupt("expected JSON, found an error: " +
                 utf8_lossy(std::string_view(error.what()).substr(0, 200)));
}

}  // namespace tandem::engine
