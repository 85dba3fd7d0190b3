// A GGUF file is the model that a folder with the same values is.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "shared/base/file.h"
#include "tests/engine/support/gguf_writer.h"
#include "tests/engine/support/golden.h"
#include "tests/engine/support/model_copy.h"
#include "tests/support/temp_dir.h"
#include "worker/engine/model/gguf_config.h"
#include "worker/engine/model/model.h"
#include "worker/engine/tokenizer/chat_template.h"
#include "worker/engine/tokenizer/tokenizer.h"

namespace tandem::engine {
namespace {

using ::testing::AllOf;
using testing::GgufWriter;
using ::testing::HasSubstr;
using testing::ModelCopy;
using testing::must;
using testing::TempDir;
using ::testing::UnorderedElementsAreArray;

constexpr std::string_view kBoth[] = {"Qwen2ForCausalLM", "Qwen3ForCausalLM"};

void write(const std::filesystem::path& path, const std::string& content) {
  must(write_file_atomically(path, content).map([] { return true; }));
}

std::vector<float> logits_of(Model& model, const Tokens& tokens) {
  KvCache kv = must(KvCache::create(model.kv_shape(), tokens.size() / kBlockTokens + 1));
  KvSequence sequence = kv.make_sequence();
  must(kv.reserve(sequence, tokens.size()).map([] { return true; }));
  const BatchRow row{&sequence, tokens, tokens.size()};
  Logits logits;
  model.forward({&row, 1}, kv, logits);
  return logits.values;
}

struct Kind {
  std::string model, type;
};
class GgufModelTest : public ::testing::TestWithParam<Kind> {};

TEST_P(GgufModelTest, ComputesWhatItsTwinInSafetensorsComputes) {
  const auto [gguf, safetensors] = testing::gguf_and_twin(GetParam().model, GetParam().type);
  const ModelCopy twin(GetParam().model);
  for (const char* old : {"model.safetensors.index.json", "model-00001-of-00002.safetensors",
                          "model-00002-of-00002.safetensors"}) {
    if (std::filesystem::exists(twin.path() / old)) twin.remove(old);
  }
  twin.write("model.safetensors", safetensors);
  const TempDir folder;
  write(folder.path() / "model.gguf", gguf);

  const auto expected = must(Model::load(twin.path(), {.n_threads = 1}));
  const auto found = must(Model::load(folder.path() / "model.gguf", {.n_threads = 1}));
  const ModelConfig &a = expected->config(), &b = found->config();
  EXPECT_EQ(b.architecture, a.architecture);
  EXPECT_EQ(b.n_vocab, a.n_vocab);
  EXPECT_EQ(b.d_head, a.d_head);
  EXPECT_EQ(b.n_kv_heads, a.n_kv_heads);
  EXPECT_EQ(b.n_positions_max, a.n_positions_max);
  EXPECT_EQ(b.tied_embedding, a.tied_embedding);
  EXPECT_EQ(b.rope_theta, a.rope_theta);
  EXPECT_THAT(b.end_tokens, UnorderedElementsAreArray(a.end_tokens));
  EXPECT_NE(found->fingerprint(), expected->fingerprint());

  const Tokens tokens = testing::Golden::load(GetParam().model).find("p3").tokens;
  const std::vector<float> one = logits_of(*expected, tokens), other = logits_of(*found, tokens);
  ASSERT_EQ(one.size(), other.size());
  EXPECT_EQ(std::memcmp(one.data(), other.data(), one.size() * sizeof(float)), 0);
}

INSTANTIATE_TEST_SUITE_P(Types, GgufModelTest,
                         ::testing::Values(Kind{"qwen3-tiny", "F32"}, Kind{"qwen3-tiny", "F16"},
                                           Kind{"qwen3-tiny", "BF16"}, Kind{"qwen3-tiny", "Q8_0"},
                                           Kind{"qwen3-tiny", "Q4_0"}, Kind{"qwen2-gqa", "F16"},
                                           Kind{"qwen2-gqa", "Q8_0"}, Kind{"qwen2-tiny-f32", "Q4_0"}),
                         [](const auto& test) {
                           std::string name = test.param.model + "_" + test.param.type;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(GgufModelTest, AFolderWithOneFileIsThatModelWithItsTokenizer) {
  const TempDir folder;
  write(folder.path() / "tiny.gguf", testing::gguf_and_twin("qwen2-tiny-f32", "F32").gguf);
  EXPECT_TRUE(Model::load(folder.path(), {.n_threads = 1}));
  for (const auto& path : {folder.path(), folder.path() / "tiny.gguf"}) {
    const auto tokenizer = must(Tokenizer::load(path));
    const auto reference = must(Tokenizer::load("data/golden/models/qwen2-tiny-f32"));
    EXPECT_EQ(tokenizer.n_vocab(), reference.n_vocab());
    for (const char* text :
         {"Hello world", "e\xCC\x81t\xC3\xA9 12 <|im_end|>\n\n", "\xE4\xBD\xA0\xE5\xA5\xBD it's"}) {
      EXPECT_EQ(tokenizer.encode(text), reference.encode(text));
      EXPECT_EQ(tokenizer.encode_plain(text), reference.encode_plain(text));
    }
    EXPECT_EQ(tokenizer.special_id("<|im_end|>"), reference.special_id("<|im_end|>"));
    EXPECT_TRUE(tokenizer.is_special(*tokenizer.special_id("<|im_end|>")));
    EXPECT_EQ(tokenizer.fingerprint().size(), 32u);

    const auto chat = must(ChatTemplate::load(path));
    EXPECT_EQ(to_text(chat.render(std::vector<ChatMessage>{{"user", "hi"}}, false)),
              "<|im_start|>system\nYou are a helpful assistant<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n");
  }
}

TEST(GgufModelTest, SafetensorsOfAFolderComeFirst) {
  const ModelCopy copy("qwen2-tiny-f32");
  const std::string before = must(Model::load(copy.path(), {.n_threads = 1}))->fingerprint();
  copy.write("other.gguf", "not even a GGUF file");
  EXPECT_EQ(must(Model::load(copy.path(), {.n_threads = 1}))->fingerprint(), before);
}

// A key of the model's metadata after the other is missing, of another type, or cannot be.
TEST(GgufConfigTest, NamesTheKeyAndWhatWasFound) {
  const auto good = [] {
    GgufWriter write;
    write.text("general.architecture", "qwen2").number("qwen2.block_count", 1);
    write.number("qwen2.embedding_length", 4).number("qwen2.attention.head_count", 2);
    write.number("qwen2.feed_forward_length", 8).number("qwen2.context_length", 64);
    write.real("qwen2.attention.layer_norm_rms_epsilon", 1e-6f);
    return write;
  };
  const auto with_embedding = [](GgufWriter write) {
    return write.tensor("token_embd.weight", 0, {3, 4}, std::string(48, '\0')).file();
  };
  const auto config_of = [](const std::string& file) {
    const auto parsed = parse_gguf(std::as_bytes(std::span(file)));
    EXPECT_TRUE(parsed) << parsed.error().text;
    return gguf_model_config(*parsed, kBoth);
  };
  const auto config = config_of(with_embedding(good()));
  ASSERT_TRUE(config) << config.error().text;
  EXPECT_EQ(config->n_vocab, 3u);
  EXPECT_EQ(config->d_head, 2u);
  EXPECT_EQ(config->n_kv_heads, 2u);
  EXPECT_EQ(config->rope_theta, 10000.0);
  EXPECT_TRUE(config->tied_embedding);

  const auto expect_error = [&](const std::string& file, ErrorCode code, const char* key, const char* found) {
    const auto wrong = config_of(file);
    ASSERT_FALSE(wrong) << key;
    EXPECT_EQ(wrong.error().code, code) << wrong.error().text;
    EXPECT_THAT(wrong.error().text, AllOf(HasSubstr(key), HasSubstr(found)));
  };
  constexpr auto kCorrupt = ErrorCode::kCorrupt, kUnsupported = ErrorCode::kUnsupported;
  expect_error(GgufWriter().file(), kCorrupt, "general.architecture", "nothing");
  expect_error(GgufWriter().text("general.architecture", "llama").file(), kUnsupported, "qwen2 or qwen3",
               "llama");
  expect_error(GgufWriter().text("general.architecture", "qwen3").file(), kCorrupt, "qwen3.block_count",
               "nothing");
  expect_error(good().file(), kCorrupt, "token_embd.weight", "no such tensor");
  expect_error(with_embedding(good().number("qwen2.rope.freq_base", 0)), kCorrupt, "rope.freq_base", "0");
  expect_error(with_embedding(good().text("qwen2.attention.head_count_kv", "2")), kCorrupt, "head_count_kv",
               "'2'");
  expect_error(with_embedding(good().number("qwen2.attention.head_count_kv", 3)), kCorrupt, "head_count_kv",
               "3");
  expect_error(with_embedding(good().number("qwen2.attention.key_length", 3)), kCorrupt, "even size", "3");
  expect_error(with_embedding(good().number("qwen2.attention.value_length", 4)), kUnsupported, "value_length",
               "4");
  expect_error(with_embedding(good().text("qwen2.rope.scaling.type", "yarn")), kUnsupported, "scaling",
               "yarn");
  expect_error(with_embedding(good().number("tokenizer.ggml.eos_token_id", 3)), kCorrupt, "eos_token_id",
               "3");
}

TEST(GgufTokenizerTest, RefusesWhatItWouldReadWrongly) {
  const auto error_of = [](const GgufWriter& write) {
    const TempDir folder;
    tandem::engine::write(folder.path() / "t.gguf", write.file());
    const auto tokenizer = Tokenizer::load(folder.path() / "t.gguf");
    return tokenizer ? std::string("it loads") : tokenizer.error().text;
  };
  const auto start = [] {
    GgufWriter write;
    write.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "qwen2");
    return write;
  };
  EXPECT_THAT(error_of(GgufWriter()),
              AllOf(HasSubstr("t.gguf"), HasSubstr("ggml.model"), HasSubstr("nothing")));
  EXPECT_THAT(error_of(GgufWriter().text("tokenizer.ggml.model", "llama")), HasSubstr("'llama'"));
  EXPECT_THAT(
      error_of(GgufWriter().text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "gpt-4o")),
      HasSubstr("'gpt-4o'"));
  EXPECT_THAT(error_of(start().flag("tokenizer.ggml.add_bos_token", true)), HasSubstr("add_bos_token"));
  EXPECT_THAT(error_of(start()), HasSubstr("ggml.tokens"));
  EXPECT_THAT(error_of(start().texts("tokenizer.ggml.tokens", {"a"})), HasSubstr("token_type"));
  const auto typed = [&](int32_t type, const char* token) {
    return start().texts("tokenizer.ggml.tokens", {token}).integers("tokenizer.ggml.token_type", {type});
  };
  EXPECT_THAT(error_of(typed(6, "a")), HasSubstr("found 6"));
  EXPECT_THAT(error_of(typed(1, "\xff")), HasSubstr("UTF-8"));
  EXPECT_THAT(error_of(typed(1, "a")), HasSubstr("ggml.merges"));
  EXPECT_THAT(error_of(typed(1, "a").texts("tokenizer.ggml.merges", {"a"})), HasSubstr("merge 0"));
  EXPECT_THAT(error_of(typed(1, "a").texts("tokenizer.ggml.merges", {})), HasSubstr("every byte"));
}

}  // namespace
}  // namespace tandem::engine
