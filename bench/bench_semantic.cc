// What the semantic tier does with questions that people asked in other words: how often the bound on
// P(wrong | served) holds, how often it hits beside the best fixed threshold that one could have known only
// afterwards, which traps get through, and what a look-up costs.

#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>
#include <unordered_map>

#include "bench/must.h"
#include "bench/report.h"
#include "bench/semantic_data.h"
#include "tests/support/temp_dir.h"
#include "worker/cache/semantic/ngram_embedder.h"
#include "worker/cache/semantic/semantic_index.h"
#include "worker/cache/semantic/semantic_tier.h"

namespace tandem::bench {
namespace {

using namespace semantic;

// Each text is embedded once: the streams ask the same ones again and again.
class RememberingEmbedder final : public Embedder {
 public:
  explicit RememberingEmbedder(const Embedder& embedder) : embedder_(embedder) {}
  size_t dimension() const override { return embedder_.dimension(); }
  const std::string& fingerprint() const override { return embedder_.fingerprint(); }
  Result<std::vector<float>> embed(std::string_view text) const override {
    const auto found = known_.find(std::string(text));
    if (found != known_.end()) return found->second;
    auto vector = embedder_.embed(text);
    if (vector) known_.emplace(std::string(text), *vector);
    return vector;
  }

 private:
  const Embedder& embedder_;
  mutable std::unordered_map<std::string, std::vector<float>> known_;
};

// Time of this thread alone: others on the machine do not change it much.
double cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

void must_do(const Result<void>& done) {
  if (!done) fmt::print(stderr, "bench: {}\n", done.error().text);
  TANDEM_ASSERT(done.has_value(), "a benchmark can fill what it measures");
}

struct Counts {
  size_t asked = 0, served = 0, wrong = 0;
};

// A candidate that passed the gates, as a threshold would see it.
struct Candidate {
  double score = 0;
  bool wrong = false;
};

// The most that one fixed threshold serves of the candidates with at most `share` of it wrong, by hindsight.
size_t best_static(std::vector<Candidate> candidates, double share) {
  std::sort(candidates.begin(), candidates.end(),
            [](const auto& a, const auto& b) { return a.score > b.score; });
  size_t wrong = 0, best = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    wrong += candidates[i].wrong;
    const bool cut = i + 1 == candidates.size() || candidates[i + 1].score < candidates[i].score;
    if (cut && static_cast<double>(wrong) <= share * static_cast<double>(i + 1)) best = i + 1;
  }
  return best;
}

// Questions as a crowd asks them: some all the time, most hardly ever (Zipf, exponent 1), each in any of its
// phrasings. What was asked before to the letter is the exact cache's and left out.
std::vector<AskedText> zipf_stream(const SemanticData& data, size_t n, std::mt19937_64& random) {
  std::vector<size_t> groups(data.questions.size());
  for (size_t i = 0; i < groups.size(); ++i) groups[i] = i;
  std::shuffle(groups.begin(), groups.end(), random);
  std::vector<double> weights;
  for (size_t i = 0; i < groups.size(); ++i) weights.push_back(1.0 / static_cast<double>(i + 1));
  std::discrete_distribution<size_t> pick(weights.begin(), weights.end());
  std::vector<AskedText> stream;
  std::set<std::string> asked;
  for (size_t i = 0; i < n; ++i) {
    const size_t group = groups[pick(random)];
    const auto& phrasings = data.questions[group];
    const std::string& text = phrasings[random() % phrasings.size()];
    if (asked.insert(text).second) stream.push_back({text, group});
  }
  return stream;
}

// The stream through the tier: what is not served, the model answers and it becomes a donor. `candidates`:
// what a fixed threshold behind the same gates would have had to choose from.
Counts play(const std::vector<AskedText>& stream, const Embedder& embedder, const SemanticPolicy& policy,
            uint64_t seed, std::vector<Candidate>* candidates) {
  const testing::TempDir folder;
  const auto tier = must(SemanticTier::open({folder.path(), 256u << 20, seed}, embedder));
  const SemanticScope scope{"task", "model", "", {}};
  std::unordered_map<std::string, size_t> group_of;
  Counts counts;
  for (const AskedText& asked : stream) {
    const SemanticDecision decision = must(tier->decide(scope, policy, asked.text, 0));
    ++counts.asked;
    const bool wrong = decision.donor && group_of.at(decision.donor->text) != asked.group;
    if (decision.audit) tier->learn(*decision.audit, wrong);
    if (decision.donor && candidates != nullptr) candidates->push_back({decision.donor->similarity, wrong});
    if (decision.kind == SemanticDecision::Kind::kServe) {
      ++counts.served;
      counts.wrong += wrong;
      continue;
    }
    group_of.emplace(asked.text, asked.group);
    must_do(tier->add(scope, policy, asked.text, {}, 0));
  }
  return counts;
}

class Bench {
 public:
  Bench(const Embedder& embedder, Report& report) : embedder_(embedder), report_(report) {}

  void gates(const std::string& lang, const SemanticData& data) {
    std::map<std::string, size_t> passed, all;
    for (const LabelledPair& trap : data.traps) {
      ++all[trap.kind];
      passed[trap.kind] += !check_gates(facts_of(trap.a), facts_of(trap.b));
    }
    for (const auto& [kind, n] : all) {
      add(lang + ".traps." + kind, static_cast<double>(passed[kind]), "passed",
          fmt::format("of {}, gates only", n));
    }
    Counts same, different;
    for (const LabelledPair& pair : data.pairs) {
      Counts& counts = pair.same ? same : different;
      ++counts.asked;
      counts.served += !check_gates(facts_of(pair.a), facts_of(pair.b));
    }
    add(lang + ".gates.same", percent(same.served, same.asked), "%",
        fmt::format("of {} paraphrases pass", same.asked));
    add(lang + ".gates.different", percent(different.served, different.asked), "%",
        fmt::format("of {} different pairs pass: the score's business", different.asked));
  }

  // Each pair is a question and its only donor, in another order in each run. Traps mixed in: none may be
  // served.
  void pairs(const std::string& lang, const SemanticData& data, double delta, size_t n_runs) {
    struct Scored {
      Candidate candidate;
      bool trap;
    };
    std::vector<Scored> scored;
    size_t n_asked = 0;
    const auto score = [&](const LabelledPair& pair, bool trap) {
      ++n_asked;
      if (check_gates(facts_of(pair.a), facts_of(pair.b))) return;
      const auto a = must(embedder_.embed(pair.a)), b = must(embedder_.embed(pair.b));
      double similarity = 0;
      for (size_t i = 0; i < a.size(); ++i) similarity += double{a[i]} * b[i];
      scored.push_back({{similarity, !pair.same}, trap});
    };
    for (const LabelledPair& pair : data.pairs) score(pair, false);
    for (const LabelledPair& trap : data.traps) {
      if (trap.kind != "near_miss") score(trap, true);  // near misses are among the pairs
    }
    std::vector<Candidate> all;
    for (const Scored& one : scored) all.push_back(one.candidate);
    Runs runs;
    size_t traps_served = 0;
    for (size_t run = 0; run < n_runs; ++run) {
      std::mt19937_64 random(run);
      std::shuffle(scored.begin(), scored.end(), random);
      std::uniform_real_distribution<double> draw(0, 1);
      Calibration calibration(policy(delta).calibration);
      Counts counts{n_asked, 0, 0};
      for (const Scored& one : scored) {
        const CalibratedDecision decision = calibration.decide(one.candidate.score, draw(random));
        if (decision.audit) calibration.learn(decision.ticket, one.candidate.wrong);
        counts.served += decision.serve;
        counts.wrong += decision.serve && one.candidate.wrong;
        traps_served += decision.serve && one.trap;
      }
      runs.add(counts, delta, best_static(all, delta), best_static(all, rate(counts)));
    }
    runs.report(*this, fmt::format("{}.pairs.{}", lang, delta), delta);
    add(fmt::format("{}.pairs.{}.traps", lang, delta), static_cast<double>(traps_served), "served",
        "number and polarity");
  }

  void streams(const std::string& name, double delta, size_t n_runs, auto&& make_stream) {
    Runs runs;
    for (size_t run = 0; run < n_runs; ++run) {
      std::mt19937_64 random(run);
      const std::vector<AskedText> stream = make_stream(random);
      const Counts counts = play(stream, embedder_, policy(delta), run, nullptr);
      // Closed for ever: everybody becomes a donor, every candidate is seen.
      std::vector<Candidate> candidates;
      SemanticPolicy closed = policy(delta);
      closed.calibration.shadow_share = closed.calibration.audit_share = 0;
      (void)play(stream, embedder_, closed, run, &candidates);
      runs.add(counts, delta, best_static(candidates, delta), best_static(candidates, rate(counts)));
    }
    runs.report(*this, fmt::format("{}.{}", name, delta), delta);
  }

  // Candidates whose chance to be wrong is known: 0.4 at a similarity of 0.7, 0.2 % at 1. What the bound is
  // worth where labels have no noise.
  void known(double delta, size_t n_candidates, size_t n_runs) {
    Runs runs;
    for (size_t run = 0; run < n_runs; ++run) {
      std::mt19937_64 random(run);
      std::uniform_real_distribution<double> uniform(0, 1);
      Calibration calibration(policy(delta).calibration);
      Counts counts{n_candidates, 0, 0};
      std::vector<Candidate> all;
      for (size_t i = 0; i < n_candidates; ++i) {
        const double score = 0.7 + 0.3 * uniform(random);
        const bool wrong = uniform(random) < 0.4 * std::exp(-(score - 0.7) / 0.3 * 5.3);
        all.push_back({score, wrong});
        const CalibratedDecision decision = calibration.decide(score, uniform(random));
        if (decision.audit) calibration.learn(decision.ticket, wrong);
        counts.served += decision.serve;
        counts.wrong += decision.serve && wrong;
      }
      runs.add(counts, delta, best_static(all, delta), best_static(all, rate(counts)));
    }
    runs.report(*this, fmt::format("known.{}", delta), delta);
  }

  // Gates, index and store, with the vector at hand.
  void lookup(size_t n_entries, double seconds) {
    const testing::TempDir folder;
    std::mt19937_64 random(3);
    const auto text_of = [](uint64_t n) {
      static const std::vector<std::string> kWords = {"river",   "garden", "winter", "music",    "bread",
                                                      "harbour", "paper",  "window", "summer",   "market",
                                                      "forest",  "engine", "silver", "mountain", "letter",
                                                      "island",  "coffee", "bridge", "lamp",     "road"};
      std::string text = "please tell me about";
      for (uint64_t rest = n * 2654435761u % 3200000; rest > 0; rest /= 20) text += " " + kWords[rest % 20];
      return text;
    };
    const RememberingEmbedder remembering(embedder_);
    const auto tier = must(SemanticTier::open({folder.path(), 1u << 30, 1}, remembering));
    const SemanticScope scope{"task", "model", "", {}};
    for (size_t i = 0; i < n_entries; ++i) {
      must_do(tier->add(scope, policy(0.05), text_of(i), {}, 0));
    }
    must_do(tier->flush());
    std::vector<std::string> questions;
    for (size_t i = 0; i < 2000; ++i) {
      questions.push_back(text_of(random() % n_entries) + " and more");
      (void)remembering.embed(questions.back());
    }
    std::vector<double> times, embed_times;
    const double begin = cpu_us();
    for (size_t i = 0; cpu_us() - begin < seconds * 1e6 || i < 100; ++i) {
      const double from = cpu_us();
      (void)must(tier->decide(scope, policy(0.05), questions[i % questions.size()], 0));
      times.push_back(cpu_us() - from);
    }
    for (const std::string& text : questions) {
      const double from = cpu_us();
      (void)must(embedder_.embed(text));
      embed_times.push_back(cpu_us() - from);
    }
    const size_t n_compared = std::min<size_t>(n_entries, 20'000);
    SemanticIndex index(embedder_.dimension());
    for (size_t i = 0; i < n_compared; ++i) must_do(index.add(i, must(embedder_.embed(text_of(i)))));
    size_t n_found = 0;
    for (size_t i = 0; i < 500; ++i) {
      const std::vector<float> vector = must(embedder_.embed(questions[i]));
      n_found += must(index.search(vector, 1))[0].similarity >= index.scan(vector, 1)[0].similarity;
    }
    add("index.recall", static_cast<double>(n_found) / 5, "%",
        fmt::format("of 500 nearest of {} are a scan's", n_compared));
    const auto add_times = [&](const std::string& name, std::vector<double> of) {
      std::sort(of.begin(), of.end());
      add(name + ".p50", of[of.size() / 2], "us", fmt::format("{} donors", n_entries));
      add(name + ".p99", of[of.size() * 99 / 100], "us", fmt::format("{} donors", n_entries));
    };
    add_times("lookup", times);
    add_times("embed", embed_times);
  }

  double audit_share = 0.2;

 private:
  static double rate(const Counts& counts) {
    return counts.served == 0 ? 0 : static_cast<double>(counts.wrong) / static_cast<double>(counts.served);
  }
  static double percent(size_t part, size_t all) {
    return all == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(all);
  }

  SemanticPolicy policy(double delta) const {
    SemanticPolicy made;
    made.calibration.delta = delta;
    made.calibration.audit_share = audit_share;
    return made;
  }

  void add(const std::string& name, double value, const std::string& unit, const std::string& note) {
    report_.add({"semantic." + name, value, unit, {}, note});
  }

  // What seeded runs of one kind came to.
  struct Runs {
    size_t n = 0, kept = 0, silent = 0;
    Counts sum;
    size_t best_at_delta = 0, best_at_same = 0;

    void add(const Counts& counts, double delta, size_t at_delta, size_t at_same) {
      ++n;
      kept += rate(counts) <= delta;
      silent += counts.served == 0;
      sum.asked += counts.asked;
      sum.served += counts.served;
      sum.wrong += counts.wrong;
      best_at_delta += at_delta;
      best_at_same += at_same;
    }
    void report(Bench& bench, const std::string& name, double delta) const {
      bench.add(name + ".kept", percent(kept, n), "%",
                fmt::format("of {} runs with wrong/served <= {}; {} served nothing", n, delta, silent));
      bench.add(name + ".wrong", percent(sum.wrong, sum.served), "%",
                fmt::format("of {} served", sum.served));
      bench.add(name + ".hits", percent(sum.served, sum.asked), "%", fmt::format("of {} asked", sum.asked));
      bench.add(name + ".static.hits", percent(best_at_delta, sum.asked), "%",
                "best threshold in hindsight, wrong <= delta");
      bench.add(name + ".static.same", percent(best_at_same, sum.asked), "%",
                "best threshold in hindsight, wrong as ours was");
    }
  };

  const Embedder& embedder_;
  Report& report_;
};

}  // namespace
}  // namespace tandem::bench

int main(int argc, char** argv) {
  using namespace tandem;
  CLI::App app("The semantic tier on labelled questions");
  std::string texts = "../shared/data", model, json, source;
  std::vector<std::string> parts = {"known", "gates", "pairs", "stream", "zipf", "lookup"},
                           langs = {"zh", "en"};
  size_t n_runs = 100, n_requests = 20'000, n_entries = 100'000;
  double audit_share = 0.2, seconds = 3;
  uint32_t held_out = 100;
  bool quick = false;
  app.add_option("--texts", texts, "folder with pairs_, traps_, faq_ and faq_stream_{zh,en}.jsonl")
      ->capture_default_str();
  app.add_option("--model", model, "file of train_ngram.py; without: plain n-grams");
  app.add_option("--parts", parts,
                 "known, gates, pairs, stream, zipf, merged (zipf with noisy labels mended), lookup")
      ->delimiter(',');
  app.add_option("--langs", langs, "zh, en")->delimiter(',');
  app.add_option("--source", source, "only pairs, traps and questions of this source, such as lcqmc");
  app.add_option("--held-out", held_out,
                 "percent of the pairs that --model was not trained on: only these are used")
      ->capture_default_str();
  app.add_option("--runs", n_runs, "seeded runs of each kind")->capture_default_str();
  app.add_option("--requests", n_requests, "requests of a Zipf run, repeats included")->capture_default_str();
  app.add_option("--entries", n_entries, "donors for the look-ups")->capture_default_str();
  app.add_option("--audit-share", audit_share, "of hits")->capture_default_str();
  app.add_option("--json", json, "write rows to this file");
  app.add_flag("--quick", quick, "a smoke run of the look-up: no data, no figures");
  CLI11_PARSE(app, argc, argv);
  if (quick) parts = {"lookup"}, n_entries = 1500, seconds = 0.1;

  std::unique_ptr<semantic::NgramEmbedder> embedder = semantic::NgramEmbedder::plain();
  if (!model.empty()) embedder = bench::must(semantic::NgramEmbedder::load(model));
  const bench::RememberingEmbedder remembering(*embedder);
  bench::Report report;
  bench::Bench bench(remembering, report);
  bench.audit_share = audit_share;
  const auto asked = [&](const char* part) {
    return std::find(parts.begin(), parts.end(), part) != parts.end();
  };
  for (const double delta : {0.02, 0.05}) {
    if (asked("known")) bench.known(delta, n_requests, n_runs);
  }
  for (const std::string& language : langs) {
    if (!asked("gates") && !asked("pairs") && !asked("stream") && !asked("zipf") && !asked("merged")) break;
    bench::SemanticData data = bench::must(bench::read_semantic_data(texts, language));
    if (!source.empty()) bench::keep_source(data, source);
    bench::keep_held_out(data, held_out);
    const std::string lang = language + (source.empty() ? "" : "." + source);
    if (asked("gates")) bench.gates(lang, data);
    for (const double delta : {0.02, 0.05}) {
      if (asked("pairs")) bench.pairs(lang, data, delta, n_runs);
      if (asked("stream"))
        bench.streams(lang + ".stream", delta, 1, [&](auto&) {
          std::vector<bench::AskedText> stream;  // verbatim repeats are the exact cache's
          std::set<std::string> seen;
          for (const auto& one : data.stream) {
            if (seen.insert(one.text).second) stream.push_back(one);
          }
          return stream;
        });
      if (asked("zipf")) {
        bench.streams(lang + ".zipf", delta, n_runs,
                      [&](auto& random) { return bench::zipf_stream(data, n_requests, random); });
      }
      if (asked("merged")) {
        bench::SemanticData merged = data;
        bench::merge_equal_questions(merged);
        bench.streams(lang + ".merged", delta, n_runs,
                      [&](auto& random) { return bench::zipf_stream(merged, n_requests, random); });
      }
    }
  }
  if (asked("lookup")) bench::Bench(*embedder, report).lookup(n_entries, seconds);
  const auto written = report.write_json(json);
  if (!written) fmt::print(stderr, "bench_semantic: {}\n", written.error().text);
  return written ? 0 : 1;
}
