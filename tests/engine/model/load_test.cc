// What loading a damaged or strange model folder says, each case on a copy of a good one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/engine/support/golden.h"
#include "tests/engine/support/model_copy.h"
#include "worker/engine/model/model.h"

namespace tandem::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::ModelCopy;
using testing::must;
using Json = nlohmann::ordered_json;

constexpr char kFile[] = "model.safetensors";
constexpr char kIndex[] = "model.safetensors.index.json";
constexpr char kSecondShard[] = "model-00002-of-00002.safetensors";

// The code and, in its text, the place and what was expected and found.
template <typename... Words>
void expect_error(const Error& error, ErrorCode code, const Words&... words) {
  EXPECT_EQ(error.code, code) << error.text;
  EXPECT_THAT(error.text, AllOf(HasSubstr(words)...));
}

TEST(LoadModelTest, ReadsTheShapeOfTheModel) {
  const auto model = must(Model::load("data/golden/models/qwen2-gqa", {.n_threads = 1}));
  const ModelConfig& config = model->config();
  EXPECT_EQ(config.architecture, "Qwen2ForCausalLM");
  EXPECT_EQ(config.n_layers, 2u);
  EXPECT_EQ(config.d_model, 96u);
  EXPECT_EQ(config.n_heads, 6u);
  EXPECT_EQ(config.n_kv_heads, 2u);
  EXPECT_EQ(config.d_head, 16u);
  EXPECT_EQ(config.d_ff, 256u);
  EXPECT_EQ(config.n_vocab, 1056u);
  EXPECT_EQ(config.n_positions_max, 32768u);
  EXPECT_EQ(config.rope_theta, 1e6);
  EXPECT_FALSE(config.tied_embedding);
  EXPECT_EQ(config.end_tokens, (std::vector<TokenId>{1023, 1021}));
  EXPECT_EQ(model->kv_shape().n_kv_heads, 2u);
}

TEST(LoadModelTest, TakesEndTokensFromTheConfigWhereThereIsNoGenerationConfig) {
  const ModelCopy copy("qwen2-tiny-f32");
  copy.remove("generation_config.json");
  EXPECT_EQ(must(Model::load(copy.path(), {}))->config().end_tokens, (std::vector<TokenId>{1023}));
}

// Newer writers nest the base of rope; qwen3 folders have such a config beside theirs.
TEST(LoadModelTest, ReadsTheConfigOfNewerWritersToTheSameModel) {
  const ModelCopy copy("qwen3-tiny");
  const ModelConfig before = must(Model::load(copy.path(), {}))->config();
  const std::string fingerprint = must(Model::load(copy.path(), {}))->fingerprint();
  copy.write("config.json", copy.read("config.v5.json"));
  const auto model = must(Model::load(copy.path(), {}));
  EXPECT_EQ(model->config().rope_theta, before.rope_theta);
  EXPECT_EQ(model->fingerprint(), fingerprint);
}

TEST(LoadModelTest, NamesTheSupportedArchitecturesWhenItFindsAnother) {
  const ModelCopy copy("qwen2-tiny-f32");
  copy.edit_config([](Json& config) { config = {{"architectures", {"LlamaForCausalLM"}}}; });
  expect_error(copy.load_error(), ErrorCode::kUnsupported, "config.json",
               "Qwen2ForCausalLM or Qwen3ForCausalLM", "LlamaForCausalLM");
}

TEST(LoadModelTest, NamesEachKeyThatIsMissingOrWrong) {
  struct Wrong {
    const char* key;
    const char* value;  // JSON, or nullptr to take the key away
    const char* expected;
  };
  for (const Wrong& wrong : std::initializer_list<Wrong>{
           {"architectures", nullptr, "found nothing"},
           {"architectures", R"(["a","b"])", R"(found ["a","b"])"},
           {"num_hidden_layers", nullptr, "found nothing"},
           {"num_hidden_layers", "0", "from 1 to"},
           {"num_hidden_layers", "-3", "found -3"},
           {"num_hidden_layers", "2.5", "found 2.5"},
           {"num_hidden_layers", "\"3\"", "found \"3\""},
           {"num_hidden_layers", "99999999999999999999999", "found"},
           {"hidden_size", "100000000", "to 1048576"},
           {"hidden_size", "66", "found 4"},
           {"intermediate_size", "null", "found nothing"},
           {"num_attention_heads", "7", "divide hidden_size 64"},
           {"num_attention_heads", "0", "from 1"},
           {"num_key_value_heads", "3", "divide num_attention_heads 4"},
           {"head_dim", "15", "even"},
           {"vocab_size", "0", "from 1"},
           {"max_position_embeddings", "true", "found true"},
           {"rms_norm_eps", "\"1e-6\"", "a number"},
           {"rms_norm_eps", "-1", "a number"},
           {"rope_theta", nullptr, "found nothing"},
           {"rope_theta", "0", "a number"},
           {"hidden_act", nullptr, "\"silu\""},
           {"tie_word_embeddings", "1", "true or false"},
           {"eos_token_id", "1040", "below vocab_size 1040"},
           {"eos_token_id", "[1, -1]", "token ids"},
       }) {
    SCOPED_TRACE(std::string(wrong.key) + " = " + (wrong.value == nullptr ? "(none)" : wrong.value));
    const ModelCopy copy("qwen2-tiny-f32");
    copy.edit_config([&](Json& config) {
      if (wrong.value == nullptr) {
        config.erase(wrong.key);
      } else {
        config[wrong.key] = Json::parse(wrong.value);
      }
    });
    const Error error = copy.load_error();
    expect_error(error, ErrorCode::kCorrupt, "config.json", wrong.expected);
    if (std::string_view(wrong.value == nullptr ? "" : wrong.value) != "66" &&
        std::string_view(wrong.key) != "head_dim") {
      EXPECT_THAT(error.text, HasSubstr(wrong.key));
    }
  }
}

TEST(LoadModelTest, RefusesWhatWouldBeComputedWrongly) {
  struct Strange {
    const char* key;
    const char* value;
  };
  for (const Strange& strange : std::initializer_list<Strange>{
           {"hidden_act", "\"gelu\""},
           {"use_sliding_window", "true"},
           {"rope_scaling", R"({"type":"yarn","factor":4.0})"},
           {"rope_parameters", R"({"rope_theta":1000000.0,"rope_type":"yarn"})"},
           {"layer_types", R"(["full_attention","sliding_attention","full_attention"])"},
           {"quantization_config", R"({"bits":4})"},
       }) {
    const ModelCopy copy("qwen2-tiny-f32");
    copy.edit_config([&](Json& config) { config[strange.key] = Json::parse(strange.value); });
    expect_error(copy.load_error(), ErrorCode::kUnsupported, "config.json", strange.key, "supported is",
                 "found");
  }
  const ModelCopy copy("qwen3-tiny");
  copy.edit_config([](Json& config) { config["attention_bias"] = true; });
  expect_error(copy.load_error(), ErrorCode::kUnsupported, "config.json", "attention_bias");
}

TEST(LoadModelTest, SaysWhichFileIsMissingOrNoJson) {
  const ModelCopy copy("qwen2-tiny-f32");
  copy.write("generation_config.json", "{\"eos_token_id\": ");
  expect_error(copy.load_error(), ErrorCode::kCorrupt, "generation_config.json", "expected JSON");
  copy.write("config.json", "[]");
  expect_error(copy.load_error(), ErrorCode::kCorrupt, "config.json", "expected a JSON object");
  copy.write("config.json", "\xff\xfe");
  expect_error(copy.load_error(), ErrorCode::kCorrupt, "config.json", "expected JSON");
  copy.remove("config.json");
  expect_error(copy.load_error(), ErrorCode::kNotFound, "config.json");
  expect_error(Model::load("no/such/folder", {}).error(), ErrorCode::kNotFound, "no/such/folder");

  const ModelCopy no_weights("qwen2-tiny-f32");
  no_weights.remove(kFile);
  expect_error(no_weights.load_error(), ErrorCode::kNotFound, kFile, kIndex, "found none");
}

TEST(LoadModelTest, SaysWhatIsWrongWithATensor) {
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  {
    const ModelCopy copy("qwen2-tiny-f32");
    copy.edit_header(kFile, [&](Json& header) { header[name]["shape"] = {64, 176}; });
    expect_error(copy.load_error(), ErrorCode::kCorrupt, kFile, name, "[176, 64]", "found [64, 176]");
  }
  {
    const ModelCopy copy("qwen2-tiny-f32");
    copy.edit_header(kFile, [&](Json& header) { header[name]["dtype"] = "I32"; });
    expect_error(copy.load_error(), ErrorCode::kUnsupported, kFile, name, "type F32, F16, BF16, Q8_0 or Q4_0",
                 "found I32");
  }
  {
    const ModelCopy copy("qwen2-tiny-f32");
    copy.edit_header(kFile, [&](Json& header) {
      header["renamed"] = header[name];
      header.erase(name);
    });
    expect_error(copy.load_error(), ErrorCode::kCorrupt, name, "[176, 64]", "no such tensor");
  }
  {
    const ModelCopy copy("qwen2-tiny-f32");
    copy.edit_config([](Json& config) { config["tie_word_embeddings"] = false; });
    expect_error(copy.load_error(), ErrorCode::kCorrupt, "lm_head.weight", "[1040, 64]", "no such tensor");
  }
  {
    const ModelCopy copy("qwen2-tiny-f32");
    copy.edit_config([](Json& config) { config["num_hidden_layers"] = 4; });
    expect_error(copy.load_error(), ErrorCode::kCorrupt, "model.layers.3.input_layernorm.weight");
  }
}

TEST(LoadModelTest, NamesTheFileThatIsCutOff) {
  const ModelCopy copy("qwen2-tiny-bf16");
  copy.cut(kFile, 1);
  expect_error(copy.load_error(), ErrorCode::kCorrupt, kFile, "tensor '", "cut off");
  const ModelCopy empty("qwen2-tiny-bf16");
  empty.write(kFile, "");
  expect_error(empty.load_error(), ErrorCode::kCorrupt, kFile, "at least 8 bytes");
  const ModelCopy sharded("qwen2-gqa");
  sharded.cut(kSecondShard, 4096);
  expect_error(sharded.load_error(), ErrorCode::kCorrupt, kSecondShard, "cut off");
}

TEST(LoadModelTest, NamesTheShardThatIsMissing) {
  const ModelCopy copy("qwen2-gqa");
  copy.remove(kSecondShard);
  expect_error(copy.load_error(), ErrorCode::kNotFound, kIndex, kSecondShard);
}

TEST(LoadModelTest, SaysWhereIndexAndShardsDisagree) {
  const std::string name = "model.norm.weight";
  {
    const ModelCopy copy("qwen2-gqa");
    copy.edit_json(kIndex, [&](Json& index) { index["weight_map"]["no.such.tensor"] = kSecondShard; });
    expect_error(copy.load_error(), ErrorCode::kCorrupt, kIndex, "no.such.tensor", kSecondShard, "nowhere");
  }
  {
    const ModelCopy copy("qwen2-gqa");
    copy.edit_json(kIndex, [&](Json& index) {
      index["weight_map"][name] = index["weight_map"]["model.embed_tokens.weight"];
    });
    expect_error(copy.load_error(), ErrorCode::kCorrupt, kIndex, name, "in model-0000");
  }
  {
    const ModelCopy copy("qwen2-gqa");
    copy.edit_json(kIndex, [&](Json& index) { index["weight_map"][name] = "../elsewhere.safetensors"; });
    expect_error(copy.load_error(), ErrorCode::kCorrupt, kIndex, name, "in this folder", "../elsewhere");
  }
  {
    const ModelCopy copy("qwen2-gqa");
    copy.edit_json(kIndex, [&](Json& index) { index["weight_map"] = {"a"}; });
    expect_error(copy.load_error(), ErrorCode::kCorrupt, kIndex, "weight_map");
  }
  {
    const ModelCopy copy("qwen2-gqa");
    copy.write("copy.safetensors", copy.read(kSecondShard));
    copy.edit_json(kIndex, [&](Json& index) { index["weight_map"]["x"] = "copy.safetensors"; });
    expect_error(copy.load_error(), ErrorCode::kCorrupt, "once", "too");
  }
}

// Real indexes carry a wrong total; real tied models carry a head that is not used.
TEST(LoadModelTest, PassesOverWhatDoesNotMatter) {
  const ModelCopy copy("qwen2-gqa");
  copy.edit_json(kIndex, [](Json& index) { index["metadata"]["total_size"] = 1; });
  EXPECT_EQ(copy.load_error().text, "it loads");

  const ModelCopy extra("qwen2-tiny-f32");
  extra.edit_header(kFile, [](Json& header) {
    header["extra"] = {{"dtype", "I64"}, {"shape", {0}}, {"data_offsets", {0, 0}}};
  });
  EXPECT_EQ(extra.load_error().text, "it loads");
}

std::string fingerprint_of(const ModelCopy& copy) {
  return must(Model::load(copy.path(), {}))->fingerprint();
}

TEST(FingerprintTest, IsTheSameForACopyAndAnotherForAnythingThatCounts) {
  const ModelCopy copy("qwen2-tiny-f32"), other("qwen2-tiny-f32");
  const std::string before = fingerprint_of(copy);
  EXPECT_EQ(before.size(), 32u);
  EXPECT_EQ(fingerprint_of(other), before);

  copy.edit_config([](Json& config) { config["rms_norm_eps"] = 1e-5; });
  EXPECT_NE(fingerprint_of(copy), before);

  std::string weights = other.read(kFile);
  weights.back() = static_cast<char>(weights.back() ^ 1);
  other.write(kFile, weights);
  EXPECT_NE(fingerprint_of(other), before);
}

// Cached answers of a model must not survive an edited weight, wherever it lies.
TEST(FingerprintTest, SeesASingleBitInTheMiddleOfATensor) {
  const ModelCopy copy("qwen2-tiny-f32");
  std::string weights = copy.read(kFile);
  std::set<std::string> seen = {fingerprint_of(copy)};
  for (const size_t eighth : {3, 5, 7}) {
    weights[weights.size() * eighth / 8] = static_cast<char>(weights[weights.size() * eighth / 8] ^ 1);
    copy.write(kFile, weights);
    EXPECT_TRUE(seen.insert(fingerprint_of(copy)).second) << eighth;
  }
}

// The same values in another type give the same answers, but not to the last bit of the sums everywhere.
TEST(FingerprintTest, TellsTypesOfStorageApart) {
  EXPECT_NE(fingerprint_of(ModelCopy("qwen2-tiny-f32")), fingerprint_of(ModelCopy("qwen2-tiny-bf16")));
}

TEST(FingerprintTest, DoesNotCountEndTokens) {
  const ModelCopy copy("qwen2-tiny-f32");
  const std::string before = fingerprint_of(copy);
  copy.remove("generation_config.json");
  EXPECT_EQ(fingerprint_of(copy), before);
}

}  // namespace
}  // namespace tandem::engine
