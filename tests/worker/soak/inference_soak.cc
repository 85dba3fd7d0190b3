// A long run of the inference loop with everything at once: scored, decoded, cancelled, refused and primed
// sequences, shared and unshared, short and long, in a KV cache that is always full. Fails when a sequence is
// lost or ends twice, when a fixed question gets another answer, when a block is missing at the end, or when
// the process grows after the first tenth.

#include <unistd.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include "shared/base/assert.h"
#include "tests/support/temp_dir.h"
#include "tests/worker/soak/traffic.h"
#include "worker/engine/model/random_model.h"
#include "worker/scheduler/inference_loop.h"

namespace tandem::testing {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryIsOurs = false;  // a sanitizer keeps what was freed
#else
constexpr bool kMemoryIsOurs = true;
#endif

constexpr SequenceId kProbeEvery = 500;
constexpr size_t kInFlight = 96;

uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t n_pages_all = 0, n_pages = 0;
  file >> n_pages_all >> n_pages;
  return n_pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

struct Soak {
  Soak(engine::Model& model, const engine::Tokenizer& tokenizer, const SchedulerLimits& limits, uint32_t seed)
      : traffic(seed, model.config().n_vocab, limits.positions_max) {
    auto kv = engine::KvCache::create(model.kv_shape(), limits.n_blocks);
    TANDEM_ASSERT(kv, "there is memory for a few blocks");
    loop.emplace(model, tokenizer, std::move(*kv), limits, clock, inbox,
                 [this](FromInference news) { hear(std::move(news)); });
  }

  void push_next() {
    const SequenceId id = ++id_last;
    if (id % kProbeEvery == 1) {
      open[id] = {.probe = true};
      inbox.push(Traffic::probe(id));
      return;
    }
    if (id % 97 == 0) inbox.push(PrimePrefix{traffic.templates()[id % traffic.templates().size()]});
    Traffic::Job job = traffic.next(id);
    open[id] = {.too_long = job.too_long};
    if (job.cancel_after > 0) cancels.emplace(n_steps + job.cancel_after, id);
    inbox.push(std::move(job.request));
  }

  void step() {
    for (; !cancels.empty() && cancels.begin()->first <= n_steps; cancels.erase(cancels.begin())) {
      inbox.push(CancelSequence{cancels.begin()->second});
    }
    const bool moved = loop->step();
    TANDEM_ASSERT(moved || open.empty(), "work that is there is done");
    ++n_steps;
  }

  void hear(FromInference news) {
    const auto* done = std::get_if<SequenceDone>(&news);
    if (done == nullptr) return;
    const auto found = open.find(done->id);
    TANDEM_ASSERT(found != open.end(), "a sequence ends once");
    const bool refused = !done->error.text.empty();
    TANDEM_ASSERT(refused == found->second.too_long, "only what is too long is refused");
    if (found->second.probe) check_probe(*done);
    if (done->finish_reason == "cancelled") ++n_cancelled;
    open.erase(found);
    ++n_done;
  }

  void check_probe(const SequenceDone& done) {
    if (first_probe.empty()) first_probe = done.scores;
    TANDEM_ASSERT(done.scores == first_probe, "the same question has the same answer, to the bit");
    ++n_probes;
  }

  struct Open {
    bool too_long = false, probe = false;
  };
  Traffic traffic;
  SystemClock clock;
  Inbox<ToInference> inbox;
  std::optional<InferenceLoop> loop;
  std::unordered_map<SequenceId, Open> open;
  std::multimap<uint64_t, SequenceId> cancels;  // by step
  std::vector<std::vector<float>> first_probe;
  SequenceId id_last = 0;
  uint64_t n_steps = 0, n_done = 0, n_cancelled = 0, n_probes = 0;
};

int run(uint64_t n_jobs, uint32_t seed, uint64_t grow_max) {
  const TempDir folder;
  TANDEM_ASSERT(engine::write_random_model("qwen2-tiny", 1, folder / "model"), "there is room for 1 MB");
  const auto model = engine::Model::load(folder / "model", {.n_threads = 1});
  const auto tokenizer = engine::Tokenizer::load(folder / "model");
  TANDEM_ASSERT(model && tokenizer, "a random model is a model");

  const SchedulerLimits limits{
      .n_blocks = 160, .sequences_max = 48, .batch_tokens_max = 256, .positions_max = 2048};
  Soak soak(**model, *tokenizer, limits, seed);
  std::printf("soak jobs=%llu seed=%u grow_max=%.1f MB\n", static_cast<unsigned long long>(n_jobs), seed,
              static_cast<double>(grow_max) / 1e6);
  std::printf("%10s %9s %11s %10s %10s %8s\n", "done", "jobs/s", "left", "resident", "computed", "cached");

  const auto began = std::chrono::steady_clock::now();
  uint64_t settled = 0, highest = 0, next_line = 1;
  while (soak.n_done < n_jobs) {
    while (soak.id_last < n_jobs && soak.open.size() < kInFlight) soak.push_next();
    soak.step();
    if (soak.n_done < next_line * n_jobs / 20) continue;
    next_line = soak.n_done * 20 / n_jobs + 1;

    const uint64_t resident = resident_bytes();
    if (soak.n_done * 10 <= n_jobs + kInFlight * 10) {
      settled = std::max(settled, resident);
    } else {
      highest = std::max(highest, resident);
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    const double rate = static_cast<double>(soak.n_done) / seconds;
    const InferenceCounters& counters = soak.loop->counters();
    std::printf(
        "%10llu %9.0f %9.0f s %7.1f MB %10llu %6.1f %%\n", static_cast<unsigned long long>(soak.n_done), rate,
        static_cast<double>(n_jobs - soak.n_done) / rate, static_cast<double>(resident) / 1e6,
        static_cast<unsigned long long>(counters.computed_tokens),
        100.0 * static_cast<double>(counters.cached_tokens) / static_cast<double>(counters.prompt_tokens));
    std::fflush(stdout);
  }
  while (soak.loop->step()) {  // what was primed last
  }

  const size_t n_free = soak.loop->kv().n_blocks_free();
  std::printf("steps=%llu cancelled=%llu probes_alike=%llu blocks_free=%zu/%zu\n",
              static_cast<unsigned long long>(soak.n_steps),
              static_cast<unsigned long long>(soak.n_cancelled),
              static_cast<unsigned long long>(soak.n_probes), n_free, limits.n_blocks);
  const double grown = (static_cast<double>(highest) - static_cast<double>(settled)) / 1e6;
  const bool grew = kMemoryIsOurs && highest > settled + grow_max;
  std::printf("grown after the first tenth: %.1f MB, %s\n", grown,
              !kMemoryIsOurs ? "not judged under a sanitizer"
              : grew         ? "TOO MUCH"
                             : "ok");
  if (n_free != limits.n_blocks) std::printf("BLOCKS ARE MISSING\n");
  return grew || n_free != limits.n_blocks ? 1 : 0;
}

}  // namespace
}  // namespace tandem::testing

int main(int argc, char** argv) {
  CLI::App app("A long mixed run of the inference loop that watches memory.", "inference_soak");
  uint64_t n_jobs = 100'000, grow_mb = 4;
  uint32_t seed = 1;
  app.add_option("--jobs", n_jobs, "how many")->check(CLI::Range(100, 1'000'000'000))->capture_default_str();
  app.add_option("--seed", seed, "the same seed, the same jobs")->capture_default_str();
  app.add_option("--grow-mb", grow_mb, "resident megabytes it may grow after the first tenth")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return tandem::testing::run(n_jobs, seed, grow_mb * 1'000'000);
}
