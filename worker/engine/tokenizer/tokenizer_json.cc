#include "worker/engine/tokenizer/tokenizer_json.h"

#include <nlohmann/json.hpp>

#include "shared/base/utf8.h"
#include "worker/engine/tokenizer/vocabulary.h"

namespace tandem::engine {
namespace {

using nlohmann::json;

tl::unexpected<Error> corrupt(std::string text) {
  return fail(ErrorCode::kCorrupt, std::move(text));
}
tl::unexpected<Error> unsupported(std::string text) {
  return fail(ErrorCode::kUnsupported, std::move(text));
}

// Short JSON of `value`, for "found ...".
std::string shown(const json& value) {
  const std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  return text.size() > 80 ? utf8_lossy(text.substr(0, 80)) + "..." : text;
}

int64_t id_in(const json& number) {
  const bool too_big = number.is_number_unsigned() && number.get<uint64_t>() > INT64_MAX;
  return too_big ? INT64_MAX : number.get<int64_t>();
}

// Takes the two big parts out of the file while it is read: 300,000 small JSON values less to build.
class BigPartsReader {
 public:
  BigPartsReader(Spelled& spelled, std::string& first_mistake)
      : spelled_(spelled), first_mistake_(first_mistake) {}

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
      spelled_.words.emplace_back(std::move(token_), id_in(value));
    } else if (depth == 3 && event != Event::object_end && event != Event::array_end) {
      mistake("model.vocab: expected a number for token " + in_quotes(token_) + ", found " +
              (event == Event::value ? shown(value) : "an object or array"));
    }
    return false;
  }

  // A merge is "a b" (older files) or ["a", "b"].
  bool merge(int depth, Event event, json& value) {
    const auto place = [&] {
      return "merge " + std::to_string(spelled_.merges.size()) + ": expected two tokens, found ";
    };
    if (depth == 3 && event == Event::value) {
      if (!value.is_string()) return mistake(place() + shown(value));
      const auto& text = value.get_ref<const std::string&>();
      const size_t space = text.find(' ');
      if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
        return mistake(place() + in_quotes(text));
      }
      spelled_.merges.emplace_back(text.substr(0, space), text.substr(space + 1));
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
      spelled_.merges.emplace_back(std::move(pair_[0]), std::move(pair_[1]));
      return false;
    }
    return mistake(place() + "something else");
  }

  bool mistake(std::string text) {
    if (first_mistake_.empty()) first_mistake_ = std::move(text);
    return false;
  }

  Spelled& spelled_;
  std::string& first_mistake_;
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

Result<void> read_added_tokens(const json& list, Spelled& spelled) {
  if (list.is_null()) return {};
  if (!list.is_array()) return corrupt("added_tokens: expected an array, found " + shown(list));
  for (const json& token : list) {
    if (!token.is_object() || !member(token, "content").is_string() ||
        !member(token, "id").is_number_integer()) {
      return corrupt("added_tokens: expected objects with content and id, found " + shown(token));
    }
    auto text = token["content"].get<std::string>();
    for (const char* flag : {"single_word", "lstrip", "rstrip", "normalized"}) {
      if (!is_off(member(token, flag))) {
        return unsupported("added_tokens: expected " + std::string(flag) + " false, found true for " +
                           in_quotes(text));
      }
    }
    spelled.added.push_back({std::move(text), id_in(token["id"]), token.value("special", false)});
  }
  return {};
}

}  // namespace

Result<TokenizerFile> parse_tokenizer_json(std::string_view text) try {
  Spelled spelled;
  std::string mistake;
  const json root = json::parse(text, json::parser_callback_t(BigPartsReader(spelled, mistake)));
  if (!root.is_object()) return corrupt("expected a JSON object, found " + shown(root));
  TokenizerFile file;
  // First whether it is our kind at all: that is the more useful error.
  const json& model = member(root, "model");
  TANDEM_TRY(read_model_flags(model, file));
  TANDEM_TRY(read_pipeline(root, file));
  if (!mistake.empty()) return corrupt(mistake);
  TANDEM_TRY(read_added_tokens(member(root, "added_tokens"), spelled));
  TANDEM_TRY(place_vocabulary(spelled, file));
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
