// What a constraint costs: a mask that has to be found out, one that is remembered, and laying it over the
// logits of a vocabulary of 151,936 tokens.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>

#include "bench/report.h"
#include "shared/base/assert.h"
#include "tests/support/temp_dir.h"
#include "worker/engine/constraint/constraint.h"
#include "worker/engine/model/random_tokenizer.h"

namespace tandem::bench {
namespace {

using engine::Constraint;
using engine::Grammar;
using engine::Tokenizer;
using engine::TokenTrie;
using std::chrono::steady_clock;

constexpr size_t kVocab = 151'936;
constexpr int kFirstSpecial = 151'643;

struct Options {
  std::string json_path;
  std::filesystem::path tokenizer;
  bool quick = false;
};

// The least of several runs, microseconds: on a shared machine the others measure the neighbours.
template <typename Act>
double best_us(int n_runs, Act&& act) {
  double best = 1e300;
  for (int run = 0; run < n_runs; ++run) {
    const auto begin = steady_clock::now();
    act();
    best = std::min(best, std::chrono::duration<double, std::micro>(steady_clock::now() - begin).count());
  }
  return best;
}

struct Sample {
  std::string name, note;
  std::shared_ptr<const Grammar> grammar;
  std::string answer;  // a usual one; its tokens are the way through the states
};

std::vector<Sample> samples() {
  std::vector<std::string> hundred;
  for (int i = 0; i < 100; ++i) hundred.push_back("category number " + std::to_string(i));
  const auto good = [](auto grammar) {
    TANDEM_ASSERT(grammar, "written by hand");
    return *grammar;
  };
  return {
      {"choice", "one of 100 texts", good(engine::grammar_of_choice(hundred)), "category number 57"},
      {"regex", "a date and a time", good(engine::grammar_of_regex(R"(\d{4}-\d{2}-\d{2}( \d{2}:\d{2})?)")),
       "2026-11-21 12:30"},
      {"schema", "an object of a string, a number and a list",
       good(engine::grammar_of_json(
           R"({"type":"object","required":["name","age","tags"],"properties":{"name":{"type":"string"},
               "age":{"type":"integer","minimum":0,"maximum":150},
               "tags":{"type":"array","items":{"type":"string"}}}})")),
       R"({"name": "Ann Smith", "age": 42, "tags": ["kind", "from Berlin", "plays the piano"]})"},
      {"length", "a string of at most 200 characters: each place has its own mask",
       good(engine::grammar_of_json(R"({"type":"string","maxLength":200})")),
       "\"The weather was fine, and so we went for a walk along the river.\""},
      {"json", "any JSON", good(engine::grammar_of_json("")),
       R"({"name": "Ann Smith", "age": 42, "tags": ["kind", {"from": "Berlin"}, [1, 2.5, null]]})"},
  };
}

void measure(const Sample& sample, const Tokenizer& tokenizer, const std::shared_ptr<const TokenTrie>& trie,
             double walk_us, double pass_us, int n_runs, Report& report) {
  const engine::Tokens tokens = tokenizer.encode_plain(sample.answer);
  const auto n = static_cast<double>(tokens.size());
  std::vector<float> logits(kVocab, 1.0f);

  double cold_us = 1e300, most_us = 1e300;
  size_t n_allowed_most = 0;
  for (int run = 0; run < n_runs; ++run) {
    const Constraint constraint(sample.grammar, trie);
    Constraint::Progress progress;
    double sum = 0, most = 0;
    for (const engine::TokenId token : tokens) {
      size_t n_allowed = 0;
      const double us = best_us(1, [&] { n_allowed = constraint.mask(progress)->size(); });
      sum += us;
      most = std::max(most, us);
      n_allowed_most = std::max(n_allowed_most, n_allowed);
      constraint.advance(progress, token);
    }
    cold_us = std::min(cold_us, sum / n);
    most_us = std::min(most_us, most);
  }

  const Constraint constraint(sample.grammar, trie);
  const auto answer = [&](bool apply) {
    Constraint::Progress progress;
    for (const engine::TokenId token : tokens) {
      const auto mask = constraint.mask(progress);
      TANDEM_ASSERT(mask->contains(token), "the sample fits");
      if (apply) mask->apply(logits);
      constraint.advance(progress, token);
    }
  };
  answer(false);
  const double found_us = best_us(n_runs, [&] { answer(false); }) / n;
  const double applied_us = best_us(n_runs, [&] { answer(true); }) / n;

  const std::string size = fmt::format("{}; {} tokens", sample.note, tokens.size());
  // A walk that may jump over nearly all of the tree has no ceiling in a pass over it.
  std::optional<double> share;
  if (n_allowed_most * 2 > trie->n_vocab()) share = walk_us / most_us;
  report.add({"constraint." + sample.name + ".first", cold_us, "us/token", {}, size});
  report.add({"constraint." + sample.name + ".most", most_us, "us", share,
              fmt::format("the dearest mask of them; up to {} tokens allowed", n_allowed_most)});
  report.add({"constraint." + sample.name + ".again", found_us, "us/token", {}, "masks are remembered"});
  report.add({"constraint." + sample.name + ".applied", applied_us, "us/token", pass_us / applied_us,
              "and laid over the logits; of writing them once"});
}

Result<void> run(const Options& options) {
  const testing::TempDir made;
  std::filesystem::path folder = options.tokenizer;
  if (folder.empty()) {
    folder = made.path();
    TANDEM_TRY(engine::write_random_tokenizer(folder, options.quick ? 2000 : kFirstSpecial, 32'768));
  }
  TANDEM_ASSIGN(const Tokenizer tokenizer, Tokenizer::load(folder));
  const int n_runs = options.quick ? 1 : 20;

  Report report;
  std::shared_ptr<const TokenTrie> trie;
  const double trie_us = best_us(options.quick ? 1 : 3, [&] { trie = TokenTrie::make(tokenizer); });
  report.add(
      {"constraint.tree",
       trie_us / 1000,
       "ms",
       {},
       fmt::format("{} tokens, {} nodes; once for a tokenizer", tokenizer.n_vocab(), trie->nodes().size())});

  uint64_t sum = 0;
  const double walk_us = best_us(n_runs, [&] {
    for (const TokenTrie::Node& node : trie->nodes()) sum += node.byte + static_cast<uint64_t>(node.token);
  });
  std::vector<float> logits(kVocab, 1.0f);
  float value = 0;
  const double pass_us = best_us(n_runs, [&] { std::fill(logits.begin(), logits.end(), value -= 1); });
  report.add({"ceiling.tree", walk_us, "us", {}, fmt::format("one pass over its nodes (sum {})", sum & 1)});
  report.add({"ceiling.logits",
              pass_us,
              "us",
              {},
              fmt::format("one pass of writing {} logits ({})", kVocab, logits[0])});
  for (const Sample& sample : samples()) measure(sample, tokenizer, trie, walk_us, pass_us, n_runs, report);
  return report.write_json(options.json_path);
}

}  // namespace
}  // namespace tandem::bench

int main(int argc, char** argv) {
  CLI::App app{"What constrained answers cost: masks found out, remembered, and laid over the logits."};
  tandem::bench::Options options;
  app.add_option("--json", options.json_path, "write the rows to this file, too");
  app.add_option(
      "--tokenizer", options.tokenizer,
      "a folder with a tokenizer.json (default: one is made, of 256 bytes and words of four letters)");
  app.add_flag("--quick", options.quick, "a smoke run with a small vocabulary: its figures mean nothing");
  CLI11_PARSE(app, argc, argv);
  if (auto done = tandem::bench::run(options); !done) {
    std::fprintf(stderr, "bench_constraint: %s\n", done.error().text.c_str());
    return 1;
  }
  return 0;
}
