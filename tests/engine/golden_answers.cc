// Answers the requests of the golden checker, for any folder laid out like the golden one:
//
//   golden_check.py --requests | golden_answers DIR [--compute f32|bf16|q8] [--kv f32|f16] > answers.jsonl
//
// One JSON request on each line of stdin, one answer on each line of stdout. Kinds: logits, generate, embed,
// tokenize, decode, chat, sample, rope; lines of other kinds are passed over, and their number is told on
// stderr. A line that cannot be answered is told there, too, the next one is read, and the exit status is 1.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "shared/base/file.h"
#include "shared/base/limits.h"
#include "worker/engine/kernels/rope.h"
#include "worker/engine/model/embedder.h"
#include "worker/engine/model/model.h"
#include "worker/engine/sampler/sampler.h"
#include "worker/engine/tokenizer/chat_template.h"
#include "worker/engine/tokenizer/tokenizer.h"
#include "worker/engine/tokenizer/word_piece.h"

namespace tandem::engine {
namespace {

using Json = nlohmann::ordered_json;  // a prompt has tools with their keys in order
using Path = std::filesystem::path;

constexpr size_t kNewTokensMax = 4096;

// A model with room for one sequence of any length that a request may ask for.
struct LoadedModel {
  std::unique_ptr<Model> model;
  std::unique_ptr<KvCache> kv;
};

// The content of tokenizer.json, unpacked when it is there as tokenizer.json.gz only.
Result<std::string> read_tokenizer(const Path& folder) {
  const Path plain = folder / "tokenizer.json", packed = folder / "tokenizer.json.gz";
  if (!std::filesystem::exists(plain) && std::filesystem::exists(packed)) {
    if (packed.string().find('\'') != std::string::npos)
      return fail(ErrorCode::kInvalid, "a quote in the path");
    FILE* pipe = ::popen(("gzip -dc '" + packed.string() + "'").c_str(), "r");
    if (pipe == nullptr) return fail(ErrorCode::kIo, packed.string() + ": cannot run gzip");
    std::string content(limits::kTokenizerBytesMax, '\0');
    content.resize(std::fread(content.data(), 1, content.size(), pipe));
    if (::pclose(pipe) != 0) return fail(ErrorCode::kIo, packed.string() + ": gzip -dc failed");
    return content;
  }
  return read_file(plain, limits::kTokenizerBytesMax);
}

SamplerSettings settings_from(const Json& params, double temperature) {
  SamplerSettings settings;
  settings.temperature = params.value("temperature", temperature);
  settings.top_k = params.value("top_k", 0u);
  settings.top_p = params.value("top_p", 1.0);
  settings.min_p = params.value("min_p", 0.0);
  settings.repetition_penalty = params.value("repetition_penalty", 1.0);
  settings.no_repeat_ngram = params.value("no_repeat_ngram_size", 0u);
  settings.seed = params.value("seed", uint64_t{0});
  return settings;
}

class Answerer {
 public:
  Answerer(Path folder, ComputeType compute, KvType kv)
      : folder_(std::move(folder)), compute_(compute), kv_(kv) {}

  // The fields of the answer; nothing when the request is of a kind that is passed over. May throw
  // Json::exception for a request without the fields it needs.
  Result<std::optional<Json>> answer(const Json& request) {
    const std::string kind = request.at("kind");
    if (kind == "logits") return logits(request);
    if (kind == "generate") return generate(request);
    if (kind == "embed") return embed(request);
    if (kind == "tokenize") return tokenize(request);
    if (kind == "decode") return decode(request);
    if (kind == "chat") return chat(request);
    if (kind == "sample") return sample(request);
    if (kind == "rope") return rope_table(request);
    return std::nullopt;
  }

 private:
  Result<std::optional<Json>> logits(const Json& request) {
    TANDEM_ASSIGN(LoadedModel * loaded, model(request.at("model")));
    TANDEM_ASSIGN(const Tokens tokens, tokens_of(request, *loaded));
    KvSequence sequence = loaded->kv->make_sequence();
    TANDEM_TRY(loaded->kv->reserve(sequence, tokens.size()));
    const BatchRow row{&sequence, tokens, tokens.size()};
    Logits logits;
    std::vector<std::vector<float>> hidden;
    loaded->model->forward_with_hidden({&row, 1}, *loaded->kv, logits, hidden);

    Json answer;
    for (const std::string& want : request.value("want", std::vector<std::string>{"logits"})) {
      if (want == "logits") {
        answer[want] = logits[tokens.size() - 1];
      } else if (want == "all_logits") {
        for (size_t i = 0; i < tokens.size(); ++i) answer[want].push_back(logits[i]);
      } else if (want == "sel_logits") {
        for (const size_t position : request.at("sel_positions")) {
          if (position >= tokens.size())
            return fail(ErrorCode::kInvalid, "sel_positions lies behind the prompt");
          answer[want].push_back(logits[position]);
        }
      } else if (want == "hidden_states") {
        for (const std::vector<float>& layer : hidden) answer[want].push_back(rows_of(layer, tokens.size()));
      } else if (want == "last_hidden") {
        answer[want] = rows_of(hidden.back(), tokens.size()).back();
      } else if (want == "mean_hidden") {
        std::vector<double> mean(loaded->model->config().d_model);
        for (size_t i = 0; i < hidden.back().size(); ++i) mean[i % mean.size()] += hidden.back()[i];
        for (double& value : mean) value /= static_cast<double>(tokens.size());
        answer[want] = mean;
      }
    }
    return answer;
  }

  Result<std::optional<Json>> generate(const Json& request) {
    TANDEM_ASSIGN(LoadedModel * loaded, model(request.at("model")));
    TANDEM_ASSIGN(Tokens history, tokens_of(request, *loaded));
    const size_t n_prompt = history.size();
    const size_t n_new_max = std::min(request.value("max_new_tokens", size_t{32}), kNewTokensMax);
    Tokens ends = loaded->model->config().end_tokens;
    if (request.contains("eos_token_id")) {
      const Json& end = request["eos_token_id"];
      ends = end.is_array() ? end.get<Tokens>() : Tokens{end.get<TokenId>()};
    }
    if (request.value("ignore_eos", false)) ends.clear();

    Sampler sampler(settings_from(request, 0));
    KvSequence sequence = loaded->kv->make_sequence();
    Logits logits;
    while (history.size() < n_prompt + n_new_max) {
      const std::span<const TokenId> piece = std::span(history).subspan(sequence.n_tokens());
      TANDEM_TRY(loaded->kv->reserve(sequence, piece.size()));
      const BatchRow row{&sequence, piece, 1};
      loaded->model->forward({&row, 1}, *loaded->kv, logits);
      history.push_back(sampler.next(logits[0], history));
      if (std::find(ends.begin(), ends.end(), history.back()) != ends.end()) break;
    }
    return Json{{"tokens", std::span(history).subspan(n_prompt)}};
  }

  Result<std::optional<Json>> embed(const Json& request) {
    TANDEM_ASSIGN(Embedder * found, embedder(request.at("model")));
    const size_t n_asked = request.value("max_seq_length", found->n_tokens_max());
    if (n_asked != found->n_tokens_max()) {
      return fail(ErrorCode::kInvalid, "expected max_seq_length " + std::to_string(found->n_tokens_max()) +
                                           " as the model has it, found " + std::to_string(n_asked));
    }
    const std::string text = request.at("text");
    const EmbeddingSteps steps = found->explain(text);
    // The pooler is no part of an embedding and is not computed.
    return Json{{"ids", steps.tokens},
                {"embedding", steps.embedding},
                {"mean_pooled", steps.mean_pooled},
                {"last_hidden_state", rows_of(steps.hidden, steps.tokens.size())}};
  }

  Result<std::optional<Json>> tokenize(const Json& request) {
    const std::string name = request.at("tokenizer");
    if (name.starts_with("bert")) {
      if (!request.value("add_special_tokens", true) || !request.value("parse_special", true)) {
        return fail(ErrorCode::kInvalid, "expected a text with its special tokens, found one without");
      }
      TANDEM_ASSIGN(const WordPieceTokenizer* bert, bert_tokenizer(name));
      return Json{{"ids", bert->encode(request.at("text").get<std::string>())}};
    }
    TANDEM_ASSIGN(const Tokenizer* found, tokenizer(name));
    const std::string text = request.at("text");
    const bool specials = request.value("parse_special", true);
    return Json{{"ids", specials ? found->encode(text) : found->encode_plain(text)}};
  }

  Result<std::optional<Json>> decode(const Json& request) {
    TANDEM_ASSIGN(const Tokenizer* found, tokenizer(request.at("tokenizer")));
    return Json{
        {"text", found->decode(request.at("ids").get<Tokens>(), request.value("skip_special", false))}};
  }

  Result<std::optional<Json>> chat(const Json& request) {
    const std::string name = request.at("template");
    std::vector<ChatMessage> messages;
    for (const Json& message : request.at("messages")) {
      messages.push_back({message.at("role"), message.at("content")});
      for (const Json& call : message.value("tool_calls", Json::array())) {
        const Json& function = call.contains("function") ? call["function"] : call;
        const Json& arguments = function.at("arguments");
        messages.back().tool_calls.push_back({function.at("name"), {}});
        std::string& written = messages.back().tool_calls.back().arguments;
        if (arguments.is_string()) {
          written = arguments;
        } else {
          TANDEM_ASSIGN(written, to_template_json(arguments.dump()));
        }
      }
    }
    std::vector<std::string> tools;
    for (const Json& tool : request.value("tools", Json::array())) {
      TANDEM_ASSIGN(std::string written, to_template_json(tool.dump()));
      tools.push_back(std::move(written));
    }
    if (templates_.is_null()) {
      TANDEM_ASSIGN(const std::string text, read_file(folder_ / "golden/chat.json", 64u << 20));
      templates_ = Json::parse(text).at("templates");
    }
    TANDEM_ASSIGN(const ChatTemplate chat_template,
                  ChatTemplate::recognise(templates_.at(name).get<std::string>()));
    if (!tools.empty() && !chat_template.supports_tools()) {
      return fail(ErrorCode::kUnsupported, "expected a template with tools, found " + name);
    }
    const std::string text =
        to_text(chat_template.render(messages, request.value("add_generation_prompt", true), tools));
    Json answer = {{"text", text}};
    // As the reference does it: what looks like a control token in a message becomes one. Tandem itself
    // encodes the pieces, where it does not.
    if (auto found = tokenizer(name.substr(0, name.find("_2507"))); found)
      answer["ids"] = (*found)->encode(text);
    return answer;
  }

  Result<std::optional<Json>> sample(const Json& request) {
    std::vector<float> logits = request.at("logits").get<std::vector<float>>();
    const Tokens history = request.at("history").get<Tokens>();
    if (logits.empty()) return fail(ErrorCode::kInvalid, "expected logits, found none");
    const Sampler sampler(settings_from(request.at("params"), 1));
    Json answer;
    for (const Candidate& candidate : sampler.candidates(logits, history)) {
      answer["kept_ids"].push_back(candidate.id);
      answer["probs_of_kept"].push_back(candidate.probability);
    }
    return answer;
  }

  Result<std::optional<Json>> rope_table(const Json& request) {
    const size_t d_head = request.at("head_dim");
    if (d_head == 0 || d_head % 2 != 0 || d_head > 4096)
      return fail(ErrorCode::kInvalid, "expected an even head_dim");
    RopeTable table(request.at("theta"), d_head);
    Json answer;
    for (const size_t position : request.at("positions")) {
      if (position >= 1u << 20) return fail(ErrorCode::kInvalid, "expected positions below 2^20");
      table.grow_to(position + 1);
      answer["cos"].push_back(table.cosines(position));
      answer["sin"].push_back(table.sines(position));
    }
    return answer;
  }

  Result<LoadedModel*> model(const std::string& name) {
    LoadedModel& loaded = models_[name];
    if (loaded.model == nullptr) {
      TANDEM_ASSIGN(std::unique_ptr<Model> model,
                    Model::load(folder_ / "models" / name, {.compute = compute_}));
      const size_t n_blocks = (model->config().n_positions_max + kNewTokensMax) / kBlockTokens + 1;
      TANDEM_ASSIGN(KvCache kv, KvCache::create(model->kv_shape(kv_), n_blocks));
      loaded = {std::move(model), std::make_unique<KvCache>(std::move(kv))};
    }
    return &loaded;
  }

  Result<Embedder*> embedder(const std::string& name) {
    std::unique_ptr<Embedder>& loaded = embedders_[name];
    if (loaded == nullptr) {
      TANDEM_ASSIGN(loaded, Embedder::load(folder_ / "models" / name, {.compute = compute_}));
    }
    return loaded.get();
  }

  Result<Tokens> tokens_of(const Json& request, const LoadedModel& loaded) {
    Tokens tokens = request.at("ids").get<Tokens>();
    const ModelConfig& config = loaded.model->config();
    if (tokens.empty() || tokens.size() > config.n_positions_max) {
      return fail(ErrorCode::kInvalid, "expected 1 to " + std::to_string(config.n_positions_max) +
                                           " ids, found " + std::to_string(tokens.size()));
    }
    for (const TokenId id : tokens) {
      if (id < 0 || static_cast<size_t>(id) >= config.n_vocab) {
        return fail(ErrorCode::kInvalid,
                    "expected ids below " + std::to_string(config.n_vocab) + ", found " + std::to_string(id));
      }
    }
    return tokens;
  }

  // `tokenizers/<name>`; "tiny_bpe" is the one that lies with the tiny Qwen2 models.
  Result<const Tokenizer*> tokenizer(const std::string& name) {
    if (const auto found = tokenizers_.find(name); found != tokenizers_.end()) return &found->second;
    const Path folder =
        name == "tiny_bpe" ? folder_ / "models/qwen2-tiny-f32" : folder_ / "tokenizers" / name;
    TANDEM_ASSIGN(const std::string content, read_tokenizer(folder));
    TANDEM_ASSIGN(Tokenizer loaded, Tokenizer::parse(content));
    return &tokenizers_.emplace(name, std::move(loaded)).first->second;
  }

  // Likewise; "bert_tiny" lies with the tiny BERT.
  Result<const WordPieceTokenizer*> bert_tokenizer(const std::string& name) {
    if (const auto found = bert_tokenizers_.find(name); found != bert_tokenizers_.end())
      return &found->second;
    const Path folder = name == "bert_tiny" ? folder_ / "models/bert-tiny" : folder_ / "tokenizers" / name;
    TANDEM_ASSIGN(WordPieceTokenizer loaded, WordPieceTokenizer::load(folder));
    return &bert_tokenizers_.emplace(name, std::move(loaded)).first->second;
  }

  static std::vector<std::span<const float>> rows_of(const std::vector<float>& values, size_t n_rows) {
    std::vector<std::span<const float>> rows;
    const size_t n_columns = values.size() / n_rows;
    for (size_t i = 0; i < n_rows; ++i) rows.push_back(std::span(values).subspan(i * n_columns, n_columns));
    return rows;
  }

  Path folder_;
  ComputeType compute_;
  KvType kv_;
  std::map<std::string, LoadedModel> models_;
  std::map<std::string, std::unique_ptr<Embedder>> embedders_;
  std::map<std::string, Tokenizer> tokenizers_;
  std::map<std::string, WordPieceTokenizer> bert_tokenizers_;
  Json templates_;
};

// One line in, at most one line out. False when it was passed over.
Result<bool> answer_line(Answerer& answerer, const std::string& line) try {
  const Json request = Json::parse(line);
  TANDEM_ASSIGN(std::optional<Json> answer, answerer.answer(request));
  if (!answer) return false;
  (*answer)["case"] = request.at("case");
  std::cout << answer->dump(-1, ' ', true, Json::error_handler_t::replace) << '\n';
  return true;
} catch (const Json::exception& error) {
  return fail(ErrorCode::kInvalid, error.what());
}

}  // namespace
}  // namespace tandem::engine

int main(int argc, char** argv) {
  using tandem::engine::ComputeType, tandem::engine::KvType;
  ComputeType compute = ComputeType::kF32;
  KvType kv = KvType::kF32;
  bool understood = argc % 2 == 0;
  for (int i = 2; understood && i < argc; i += 2) {
    const std::string option = argv[i], value = argv[i + 1];
    understood = (option == "--compute" && (value == "f32" || value == "bf16" || value == "q8")) ||
                 (option == "--kv" && (value == "f32" || value == "f16"));
    if (option == "--kv") kv = value == "f16" ? KvType::kF16 : KvType::kF32;
    for (const ComputeType type : {ComputeType::kF32, ComputeType::kBf16, ComputeType::kQ8}) {
      if (option == "--compute" && name_of(type) == value) compute = type;
    }
  }
  if (!understood) {
    std::cerr << "usage: golden_answers DIR [--compute f32|bf16|q8] [--kv f32|f16] < requests > answers\n";
    return 2;
  }
  if (!std::filesystem::is_directory(argv[1])) {
    std::cerr << "golden_answers: " << argv[1]
              << ": expected a folder with models/, tokenizers/ and golden/\n";
    return 2;
  }
  tandem::engine::Answerer answerer(argv[1], compute, kv);
  std::string line;
  size_t n_passed_over = 0, n_failed = 0;
  for (size_t n = 1; std::getline(std::cin, line); ++n) {
    if (line.empty()) continue;
    const auto answered = tandem::engine::answer_line(answerer, line);
    if (!answered) {
      std::cerr << "golden_answers: line " << n << ": " << answered.error().text << '\n';
      ++n_failed;
    } else if (!*answered) {
      ++n_passed_over;
    }
  }
  if (n_passed_over > 0) {
    std::cerr << "golden_answers: passed over " << n_passed_over << " lines of kinds it does not know\n";
  }
  if (n_failed > 0) std::cerr << "golden_answers: could not answer " << n_failed << " lines\n";
  return std::cout.flush() && n_failed == 0 ? 0 : 1;
}
