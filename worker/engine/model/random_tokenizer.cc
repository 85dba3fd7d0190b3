#include "worker/engine/model/random_tokenizer.h"

#include <nlohmann/json.hpp>

#include "shared/base/file.h"

namespace tandem::engine {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kSpecials[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};

constexpr char kSplitPattern[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr char kChatTemplate[] =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ "
    "'<|im_start|>system\n"
    "You are a helpful assistant<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + "
    "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ "
    "'<|im_start|>assistant\n' "
    "}}{% endif %}";

std::string utf8(unsigned code_point) {  // below 0x800
  if (code_point < 0x80) return std::string(1, static_cast<char>(code_point));
  return {static_cast<char>(0xC0 | code_point >> 6), static_cast<char>(0x80 | (code_point & 0x3F))};
}

// Byte-level BPE spells bytes as printable characters: those that are printable already as themselves, in
// this order the first ids; the others as U+0100 and following.
//
// The ids from 256 up to the special ones are words of four letters that no merge leads to: text never
// becomes one, but what a random model says can be read.
Json vocabulary_of(int n_tokens) {
  const auto printable = [](unsigned byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
  };
  Json vocabulary = Json::object();
  // Appended to directly: operator[] of an ordered object looks through all keys each time.
  auto& entries = vocabulary.get_ref<Json::object_t&>();
  int id = 0;
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (printable(byte)) entries.emplace_back(utf8(byte), id++);
  }
  unsigned next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (!printable(byte)) entries.emplace_back(utf8(next++), id++);
  }
  for (int word = 0; id < n_tokens; ++word) {
    std::string spelling = "\u0120....";  // a space, then the word
    for (int i = 0, rest = word; i < 4; ++i, rest /= 26) {
      spelling[spelling.size() - 1 - static_cast<size_t>(i)] = static_cast<char>('a' + rest % 26);
    }
    entries.emplace_back(spelling, id++);
  }
  return vocabulary;
}

}  // namespace

Result<void> write_random_tokenizer(const std::filesystem::path& folder, int first_special_id,
                                    size_t n_positions_max) {
  Json added = Json::array(), decoder = Json::object();
  for (int i = 0; i < 3; ++i) {
    const Json token = {{"content", kSpecials[i]}, {"single_word", false}, {"lstrip", false},
                        {"rstrip", false},         {"normalized", false},  {"special", true}};
    decoder[std::to_string(first_special_id + i)] = token;
    Json entry = {{"id", first_special_id + i}};
    entry.update(token);
    added.push_back(entry);
  }
  const Json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", kSplitPattern}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  const Json tokenizer = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", added},
      {"normalizer", {{"type", "NFC"}}},
      {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", Json::array({split, byte_level})}}},
      {"post_processor", byte_level},
      {"decoder", byte_level},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", ""},
        {"end_of_word_suffix", ""},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"vocab", vocabulary_of(first_special_id)},
        {"merges", Json::array()}}},
  };
  const Json config = {
      {"add_prefix_space", false},
      {"added_tokens_decoder", decoder},
      {"additional_special_tokens", {kSpecials[1], kSpecials[2]}},
      {"bos_token", nullptr},
      {"chat_template", kChatTemplate},
      {"clean_up_tokenization_spaces", false},
      {"eos_token", kSpecials[2]},
      {"errors", "replace"},
      {"model_max_length", n_positions_max},
      {"pad_token", kSpecials[0]},
      {"split_special_tokens", false},
      {"tokenizer_class", "Qwen2Tokenizer"},
      {"unk_token", nullptr},
  };
  TANDEM_TRY(write_file_atomically(folder / "tokenizer.json", tokenizer.dump(1) + "\n"));
  return write_file_atomically(folder / "tokenizer_config.json", config.dump(2) + "\n");
}

}  // namespace tandem::engine
