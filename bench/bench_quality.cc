// What the compute types cost in quality: label probabilities, labels and perplexity of every way of
// computing, beside those of f32 and beside its speed. No ceilings here; the reference is f32.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bench/report.h"
#include "shared/base/assert.h"
#include "shared/base/file.h"
#include "worker/engine/model/model.h"
#include "worker/engine/sampler/sampler.h"
#include "worker/tasks/answer.h"
#include "worker/tasks/prompt.h"

namespace tandem::bench {
namespace {

using engine::BatchRow;
using engine::ComputeType;
using engine::KvType;
using engine::Tokens;
using Path = std::filesystem::path;

constexpr size_t kBatch = 16;
constexpr size_t kTokensMax = 1024;
constexpr size_t kRowsOfAWay = 8;

struct Way {
  const char* name;
  ComputeType compute;
  KvType kv;
};
constexpr Way kWays[] = {{"f32", ComputeType::kF32, KvType::kF32},
                         {"bf16", ComputeType::kBf16, KvType::kF32},
                         {"q8", ComputeType::kQ8, KvType::kF32},
                         {"f32.kv16", ComputeType::kF32, KvType::kF16},
                         {"q8.kv16", ComputeType::kQ8, KvType::kF16}};

// What the model sees, and what is asked of it.
struct LabelText {
  const Task* task;
  Tokens prompt;
  std::string label;  // as people gave it
};
struct ReplyText {
  Tokens prompt, reply;  // the reply ends with the end token
};
struct Texts {
  std::vector<LabelText> labels;
  std::vector<ReplyText> replies;
  std::map<const Task*, LabelTree> trees;
};

// What one way of computing makes of the texts.
struct Outcome {
  std::vector<double> probabilities;  // of the task's first label
  std::vector<std::string> labels;
  double perplexity = 0, texts_per_second = 0;
};

// For --quick, and to show what the lines look like.
constexpr char kFewLabels[] =
    R"({"text": "The room was clean and the staff were lovely.", "label": "positive"}
{"text": "Worst flight ever, four hours late.", "label": "negative"}
{"text": "A waste of time and money.", "label": "negative"})";
constexpr char kFewReplies[] = R"({"q": "Hello!", "a": "Hi there! How are you?"})";

// About `n` lines of a file of JSON lines, evenly from all of it, that `keep` likes.
Result<std::vector<nlohmann::json>> some_lines(const std::string& content, size_t n,
                                               const std::function<bool(const nlohmann::json&)>& keep) try {
  std::vector<nlohmann::json> all, some;
  std::istringstream lines(content);
  for (std::string line; std::getline(lines, line);) {
    if (nlohmann::json json = nlohmann::json::parse(line); keep(json)) all.push_back(std::move(json));
  }
  n = std::min(n, all.size());
  for (size_t i = 0; i < n; ++i) some.push_back(std::move(all[i * all.size() / n]));
  return some;
} catch (const nlohmann::json::exception& error) {
  return fail(ErrorCode::kInvalid, error.what());
}

JobRequest request_of(const std::string& text, const std::string& task) {
  JobRequest request;
  request.text = text;
  request.tasks = {task};
  return request;
}

class Bench {
 public:
  Bench(Path model, Path tasks, Path texts) : model_(model), tasks_(tasks), texts_(texts) {}

  Result<void> run(size_t n_texts, bool quick, const std::string& json_path) {
    TANDEM_TRY(read(n_texts, quick));
    fmt::print("{} texts with labels, {} replies; differences are to f32\n\n", read_.labels.size(),
               read_.replies.size());
    fmt::print("{:<10} {:>10} {:>10} {:>10} {:>11} {:>11} {:>11} {:>11} {:>9}\n", "", "mean |dp|", "p99 |dp|",
               "max |dp|", "same label", "right, zh", "right, en", "perplexity", "texts/s");
    Report report;
    std::vector<Row> rows;
    Outcome reference;
    for (const Way& way : kWays) {
      TANDEM_ASSIGN(Outcome outcome, compute(way));
      if (way.name == std::string_view("f32")) reference = outcome;
      for (Row& row : compare(way.name, outcome, reference)) rows.push_back(std::move(row));
      const Row* const of_way = &rows[rows.size() - kRowsOfAWay];
      fmt::print("{:<10} {:>10.6f} {:>10.6f} {:>10.6f} {:>9.2f} % {:>9.2f} % {:>9.2f} % {:>11.4f} {:>9.0f}\n",
                 way.name, of_way[0].value, of_way[1].value, of_way[2].value, of_way[3].value,
                 of_way[4].value, of_way[5].value, of_way[6].value, of_way[7].value);
      std::fflush(stdout);
    }
    if (json_path.empty()) return {};
    fmt::print("\n");
    for (Row& row : rows) report.add(std::move(row));
    return report.write_json(json_path);
  }

 private:
  Result<void> read(size_t n_texts, bool quick) {
    TANDEM_ASSIGN(book_, TaskBook::load(tasks_));
    TANDEM_ASSIGN(engine::Tokenizer tokenizer, engine::Tokenizer::load(model_));
    TANDEM_ASSIGN(const engine::ChatTemplate chat_template, engine::ChatTemplate::load(model_));
    TANDEM_ASSIGN(const auto model, engine::Model::load(model_, {}));
    const engine::TokenId end = model->config().end_tokens.front();
    const auto content_of = [&](const char* file, const char* few) -> Result<std::string> {
      if (quick) return few;
      return read_file(texts_ / file, size_t{1} << 28);
    };

    for (const auto& [file, name] :
         {std::pair{"sentiment_zh.jsonl", "sentiment-zh"}, {"sentiment_en.jsonl", "sentiment"}}) {
      TANDEM_ASSIGN(const Task* task, book_->find(name));
      TANDEM_ASSIGN(const std::string content, content_of(file, kFewLabels));
      TANDEM_ASSIGN(const auto lines, some_lines(content, n_texts / 2, [&](const nlohmann::json& line) {
                      return std::any_of(task->labels.begin(), task->labels.end(),
                                         [&](const Label& label) { return label.id == line.at("label"); });
                    }));
      TANDEM_ASSIGN(read_.trees[task], make_label_tree(*task, tokenizer, end));
      if (read_.trees[task].nodes.size() != 1) {
        return fail(ErrorCode::kUnsupported, "expected labels whose first tokens differ, found others");
      }
      for (const nlohmann::json& line : lines) {
        const JobRequest request = request_of(line.at("text"), name);
        TANDEM_ASSIGN(Prompt prompt, make_prompt(*task, request, tokenizer, chat_template, kTokensMax));
        read_.labels.push_back({task, std::move(prompt.tokens), line.at("label")});
      }
    }
    TANDEM_ASSIGN(const Task* reply, book_->find("reply"));
    for (const char* file : {"chat_zh.jsonl", "chat_en.jsonl"}) {
      TANDEM_ASSIGN(const std::string content, content_of(file, kFewReplies));
      TANDEM_ASSIGN(const auto lines,
                    some_lines(content, n_texts / 8, [](const nlohmann::json&) { return true; }));
      for (const nlohmann::json& line : lines) {
        const JobRequest request = request_of(line.at("q"), "reply");
        TANDEM_ASSIGN(Prompt prompt, make_prompt(*reply, request, tokenizer, chat_template, kTokensMax / 2));
        Tokens tokens = tokenizer.encode_plain(line.at("a").get<std::string>());
        tokens.resize(std::min(tokens.size(), kTokensMax / 2 - 1));
        tokens.push_back(end);
        read_.replies.push_back({std::move(prompt.tokens), std::move(tokens)});
      }
    }
    return {};
  }

  Result<Outcome> compute(const Way& way) {
    TANDEM_ASSIGN(const auto model, engine::Model::load(model_, {.compute = way.compute}));
    const size_t n_blocks = kBatch * kTokensMax / engine::kBlockTokens;
    TANDEM_ASSIGN(engine::KvCache kv, engine::KvCache::create(model->kv_shape(way.kv), n_blocks));
    Outcome outcome;
    const auto begin = std::chrono::steady_clock::now();
    for (size_t i = 0; i < read_.labels.size(); i += kBatch) label(*model, kv, i, outcome);
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    outcome.texts_per_second = static_cast<double>(read_.labels.size()) / passed.count();
    outcome.perplexity = perplexity(*model, kv);
    return outcome;
  }

  void label(engine::Model& model, engine::KvCache& kv, size_t first, Outcome& outcome) {
    const auto texts = std::span(read_.labels).subspan(first, std::min(kBatch, read_.labels.size() - first));
    std::vector<engine::KvSequence> sequences(texts.size());
    std::vector<BatchRow> batch;
    for (size_t i = 0; i < texts.size(); ++i) {
      sequences[i] = kv.make_sequence();
      TANDEM_ASSERT(kv.reserve(sequences[i], texts[i].prompt.size()), "there are blocks for a batch");
      batch.push_back({&sequences[i], texts[i].prompt, 1, read_.trees[texts[i].task].nodes[0].next});
    }
    engine::Logits logits;
    model.forward(batch, kv, logits);
    for (size_t i = 0; i < texts.size(); ++i) {
      const std::span<const float> of_text = logits[i];
      const LabelAnswer answer = score_labels(*texts[i].task, read_.trees[texts[i].task], {&of_text, 1});
      outcome.labels.push_back(answer.label);
      outcome.probabilities.push_back(answer.scores.front().probability);
    }
  }

  double perplexity(engine::Model& model, engine::KvCache& kv) const {
    double surprise = 0;
    size_t n_tokens = 0;
    engine::Logits logits;
    for (const ReplyText& text : read_.replies) {
      Tokens tokens = text.prompt;
      tokens.insert(tokens.end(), text.reply.begin(), text.reply.end() - 1);
      engine::KvSequence sequence = kv.make_sequence();
      TANDEM_ASSERT(kv.reserve(sequence, tokens.size()), "there are blocks for one text");
      const BatchRow row{&sequence, tokens, text.reply.size()};
      model.forward({&row, 1}, kv, logits);
      for (size_t i = 0; i < text.reply.size(); ++i, ++n_tokens) {
        surprise += engine::log_sum_exp(logits[i]) - logits[i][static_cast<size_t>(text.reply[i])];
      }
    }
    return std::exp(surprise / static_cast<double>(n_tokens));
  }

  // kRowsOfAWay rows.
  std::vector<Row> compare(const std::string& way, const Outcome& found, const Outcome& reference) const {
    std::vector<double> differences;
    double sum = 0, n_same = 0;
    std::map<std::string, std::pair<double, double>> right;  // by task: right ones, and all
    const size_t n = found.labels.size();
    for (size_t i = 0; i < n; ++i) {
      differences.push_back(std::fabs(found.probabilities[i] - reference.probabilities[i]));
      sum += differences.back();
      n_same += found.labels[i] == reference.labels[i] ? 1 : 0;
      auto& [n_right, n_of_task] = right[read_.labels[i].task->name];
      n_right += found.labels[i] == read_.labels[i].label ? 1 : 0;
      n_of_task += 1;
    }
    std::sort(differences.begin(), differences.end());
    const double all = static_cast<double>(n);
    const std::string name = "quality." + way + ".";
    return {{name + "dp.mean", sum / all, "", {}, ""},
            {name + "dp.p99", differences[n * 99 / 100], "", {}, ""},
            {name + "dp.max", differences.back(), "", {}, ""},
            {name + "same", 100 * n_same / all, "%", {}, ""},
            {name + "right.zh", percent_right(right["sentiment-zh"]), "%", {}, ""},
            {name + "right.en", percent_right(right["sentiment"]), "%", {}, ""},
            {name + "perplexity", found.perplexity, "", {}, ""},
            {name + "speed", found.texts_per_second, "texts/s", {}, ""}};
  }

  static double percent_right(const std::pair<double, double>& counts) {
    return 100 * counts.first / counts.second;
  }

  const Path model_, tasks_, texts_;
  std::shared_ptr<const TaskBook> book_;
  Texts read_;
};

}  // namespace
}  // namespace tandem::bench

int main(int argc, char** argv) {
  CLI::App app("What the compute types cost in quality, beside f32");
  std::string model = "configs/models/tandem-demo", tasks = "configs/tasks", texts = "../shared/data", json;
  size_t n_texts = 800;
  bool quick = false;
  app.add_option("--model", model, "folder of the model")->capture_default_str();
  app.add_option("--tasks", tasks, "folder of the tasks")->capture_default_str();
  app.add_option("--texts", texts, "folder with sentiment_{zh,en}.jsonl and chat_{zh,en}.jsonl")
      ->capture_default_str();
  app.add_option("--n", n_texts, "texts with labels; a quarter as many replies")->capture_default_str();
  app.add_option("--json", json, "write rows to this file");
  app.add_flag("--quick", quick, "a smoke run on a few built-in texts");
  CLI11_PARSE(app, argc, argv);
  const auto done = tandem::bench::Bench(model, tasks, texts).run(n_texts, quick, json);
  if (done) return 0;
  fmt::print(stderr, "bench_quality: {}\n", done.error().text);
  return 1;
}
