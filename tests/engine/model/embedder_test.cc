// The sentence encoder against the recorded outputs of the official implementation, and what a damaged folder
// says.

#include "worker/engine/model/embedder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "shared/base/file.h"
#include "tests/engine/support/golden.h"
#include "tests/engine/support/model_copy.h"

namespace tandem::engine {
namespace {

using ::testing::AllOf;
using testing::compare;
using ::testing::HasSubstr;
using testing::ModelCopy;
using testing::must;
using Json = nlohmann::ordered_json;

constexpr double kComponentError = 2e-6;  // of the golden README

struct Case {
  std::string name, text;
  Tokens tokens;
};

class EmbedderTest : public ::testing::TestWithParam<std::string> {
 protected:
  EmbedderTest()
      : embedder_(must(Embedder::load(testing::kGoldenModels + GetParam(), {.n_threads = 2}))),
        arrays_(testing::load_arrays("data/golden/golden/" + GetParam() + ".safetensors")) {
    const Json json = Json::parse(must(read_file("data/golden/golden/" + GetParam() + ".json", 1u << 20)));
    for (const Json& item : json.at("cases")) {
      cases_.push_back({item.at("case"), item.at("text"), item.at("ids").get<Tokens>()});
    }
  }
  std::span<const float> array(const std::string& name) const { return arrays_.at(name).values; }

  std::unique_ptr<Embedder> embedder_;
  std::map<std::string, testing::GoldenArray> arrays_;
  std::vector<Case> cases_;
};

TEST_P(EmbedderTest, EveryStepIsThatOfTheReference) {
  ASSERT_EQ(cases_.size(), 12u);
  for (const Case& c : cases_) {
    SCOPED_TRACE(c.name);
    const EmbeddingSteps steps = embedder_->explain(c.text);
    EXPECT_EQ(steps.tokens, c.tokens);
    if (arrays_.contains(c.name + ".last_hidden_state")) {
      EXPECT_GOLDEN(steps.hidden, array(c.name + ".last_hidden_state"));
    }
    EXPECT_GOLDEN(steps.mean_pooled, array(c.name + ".mean_pooled"));
    EXPECT_LE(compare(steps.embedding, array(c.name + ".embedding")).max_abs, kComponentError);
  }
}

TEST_P(EmbedderTest, ATextGetsTheVectorThatItWouldGetAlone) {
  std::vector<std::string_view> texts;
  for (const Case& c : cases_) texts.push_back(c.text);
  for (int i = 0; i < 3; ++i) texts.insert(texts.end(), texts.begin(), texts.begin() + 12);
  const Embeddings all = embedder_->embed(texts);
  ASSERT_EQ(all.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const Embeddings alone = embedder_->embed({&texts[i], 1});
    EXPECT_TRUE(std::equal(all[i].begin(), all[i].end(), alone[0].begin(), alone[0].end())) << i;
    EXPECT_LE(compare(all[i], array(cases_[i % 12].name + ".embedding")).max_abs, kComponentError);
    double length = 0;
    for (const float value : all[i]) length += double{value} * value;
    EXPECT_NEAR(length, 1, 1e-6);
  }
}

// Random weights forgive less than trained ones; what is held here is that nothing is broken.
TEST_P(EmbedderTest, OtherComputeTypesComeClose) {
  for (const auto& [type, cosine_min] : {std::pair{ComputeType::kBf16, 0.9999}, {ComputeType::kQ8, 0.999}}) {
    const auto other =
        must(Embedder::load(testing::kGoldenModels + GetParam(), {.n_threads = 1, .compute = type}));
    EXPECT_NE(other->fingerprint(), embedder_->fingerprint());
    for (const Case& c : cases_) {
      const EmbeddingSteps steps = other->explain(c.text);
      const auto expected = array(c.name + ".embedding");
      double cosine = 0;
      for (size_t i = 0; i < expected.size(); ++i) cosine += double{steps.embedding[i]} * expected[i];
      EXPECT_GE(cosine, cosine_min) << name_of(type) << " " << c.name;
    }
  }
}

TEST_P(EmbedderTest, PackedWeightsOfAnotherStartGiveTheSameVectors) {
  const testing::TempDir packed;
  const ModelOptions options{.n_threads = 1, .packed_folder = packed.path()};
  const std::string_view text = cases_[0].text;
  for (int start = 0; start < 2; ++start) {
    const auto again = must(Embedder::load(testing::kGoldenModels + GetParam(), options));
    EXPECT_EQ(again->embed({&text, 1}).values, embedder_->embed({&text, 1}).values);
  }
  EXPECT_FALSE(std::filesystem::is_empty(packed.path()));
}

TEST_P(EmbedderTest, CountsWhatItWouldRead) {
  EXPECT_EQ(embedder_->n_tokens_max(), 256u);
  EXPECT_EQ(embedder_->count_tokens(""), 2u);
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "a ";
  EXPECT_EQ(embedder_->count_tokens(text), 256u);
  EXPECT_EQ(embedder_->embed({}).size(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Bert, EmbedderTest, ::testing::Values("bert-tiny", "bert-hd32"),
                         [](const auto& test) { return test.param.substr(5); });

std::unique_ptr<Embedder> load(const ModelCopy& copy) {
  return must(Embedder::load(copy.path(), {.n_threads = 1}));
}
Error load_error(const ModelCopy& copy) {
  const auto loaded = Embedder::load(copy.path(), {.n_threads = 1});
  return loaded ? Error{ErrorCode::kInternal, "it loads"} : loaded.error();
}
template <typename... Words>
void expect_error(const ModelCopy& copy, ErrorCode code, const Words&... words) {
  const Error error = load_error(copy);
  EXPECT_EQ(error.code, code) << error.text;
  EXPECT_THAT(error.text, AllOf(HasSubstr(words)...));
}
constexpr char kText[] = "The weather is lovely today.";

TEST(LoadEmbedderTest, NamesMayHaveBertInFront) {
  const ModelCopy copy("bert-tiny");
  const EmbeddingSteps before = load(copy)->explain(kText);
  copy.edit_header("model.safetensors", [](Json& header) {
    Json renamed;
    for (const auto& [name, tensor] : header.items()) {
      renamed[name == "__metadata__" ? name : "bert." + name] = tensor;
    }
    header = renamed;
  });
  EXPECT_EQ(load(copy)->explain(kText).embedding, before.embedding);
}

TEST(LoadEmbedderTest, CutsWhereTheFolderSaysSo) {
  const ModelCopy copy("bert-tiny");
  const std::string long_text(4000, '!');
  copy.edit_json("sentence_bert_config.json", [](Json& json) { json["max_seq_length"] = 100; });
  EXPECT_EQ(load(copy)->count_tokens(long_text), 100u);
  copy.edit_json("sentence_bert_config.json", [](Json& json) { json["max_seq_length"] = 4096; });
  EXPECT_EQ(load(copy)->count_tokens(long_text), 512u);  // there are no more positions
  copy.remove("sentence_bert_config.json");
  EXPECT_EQ(load(copy)->count_tokens(long_text), 512u);
}

TEST(LoadEmbedderTest, AFolderWithoutModulesTakesTheMean) {
  const ModelCopy copy("bert-tiny");
  const EmbeddingSteps before = load(copy)->explain(kText);
  copy.remove("modules.json");
  EXPECT_EQ(load(copy)->explain(kText).embedding, before.embedding);
}

TEST(LoadEmbedderTest, RefusesWhatComputesSomethingElse) {
  const auto refused = [](const char* file, const std::function<void(Json&)>& edit, const char* found) {
    const ModelCopy copy("bert-tiny");
    copy.edit_json(file, edit);
    expect_error(copy, ErrorCode::kUnsupported, file, found);
  };
  refused(
      "config.json", [](Json& json) { json["model_type"] = "roberta"; }, "roberta");
  refused(
      "config.json", [](Json& json) { json["hidden_act"] = "gelu_new"; }, "gelu_new");
  refused(
      "config.json", [](Json& json) { json["position_embedding_type"] = "relative_key"; }, "relative_key");
  refused(
      "1_Pooling/config.json", [](Json& json) { json["pooling_mode_cls_token"] = true; }, "cls");
  refused(
      "1_Pooling/config.json", [](Json& json) { json["pooling_mode_mean_tokens"] = false; }, "mean");
  refused(
      "modules.json", [](Json& json) { json[2]["type"] = "sentence_transformers.models.Dense"; }, "Dense");
  refused(
      "modules.json", [](Json& json) { json[2]["type"] = "my.Module"; }, "my.Module");
  refused(
      "modules.json", [](Json& json) { json[1]["path"] = "../x"; }, "../x");
}

TEST(LoadEmbedderTest, SaysWhatIsBrokenAndWhere) {
  const auto broken = [](const char* file, const std::function<void(Json&)>& edit, const char* place) {
    const ModelCopy copy("bert-tiny");
    copy.edit_json(file, edit);
    expect_error(copy, ErrorCode::kCorrupt, place);
  };
  broken(
      "config.json", [](Json& json) { json.erase("hidden_size"); }, "hidden_size");
  broken(
      "config.json", [](Json& json) { json["num_attention_heads"] = 5; }, "divide hidden_size 48");
  broken(
      "config.json", [](Json& json) { json["intermediate_size"] = 193; }, "intermediate.dense.weight");
  broken(
      "config.json", [](Json& json) { json["vocab_size"] = 700; }, "vocab_size");
  broken(
      "config.json", [](Json& json) { json["num_hidden_layers"] = 3; }, "encoder.layer.2.");
  broken(
      "sentence_bert_config.json", [](Json& json) { json["max_seq_length"] = "all"; }, "max_seq_length");
  const ModelCopy copy("bert-tiny");
  copy.write("modules.json", "[");
  expect_error(copy, ErrorCode::kCorrupt, "modules.json");
  copy.remove("modules.json");
  copy.cut("model.safetensors", 1);
  expect_error(copy, ErrorCode::kCorrupt, "model.safetensors", "cut off");
  copy.remove("tokenizer.json");
  expect_error(copy, ErrorCode::kNotFound, "tokenizer.json");
}

TEST(LoadEmbedderTest, AnythingThatMovesVectorsMovesTheFingerprint) {
  const ModelCopy copy("bert-tiny"), other("bert-tiny");
  const std::string before = load(copy)->fingerprint();
  EXPECT_EQ(load(other)->fingerprint(), before);
  copy.edit_json("sentence_bert_config.json", [](Json& json) { json["max_seq_length"] = 128; });
  EXPECT_NE(load(copy)->fingerprint(), before);
  std::string weights = other.read("model.safetensors");
  weights[weights.size() / 2] = static_cast<char>(weights[weights.size() / 2] ^ 1);
  other.write("model.safetensors", weights);
  EXPECT_NE(load(other)->fingerprint(), before);
}

}  // namespace
}  // namespace tandem::engine
