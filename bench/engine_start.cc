#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "bench/engine_parts.h"
#include "bench/median.h"
#include "shared/base/assert.h"

namespace tandem::bench {
namespace {

struct Started {
  double seconds = 0;
  uint64_t resident = 0;
};

uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t n_pages_all = 0, n_pages = 0;
  file >> n_pages_all >> n_pages;
  return n_pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

// Loads in a process of its own, whose memory is then the model's alone.
Result<Started> start(engine::ComputeType type, const EngineOptions& options) {
  int ends[2];
  if (::pipe(ends) != 0) return fail(ErrorCode::kIo, "cannot make a pipe");
  const pid_t child = ::fork();
  if (child == 0) {
    Started started;
    std::unique_ptr<engine::Model> model;
    started.seconds = seconds_of([&] {
      auto loaded = engine::Model::load(options.model, {.n_threads = options.n_threads,
                                                        .compute = type,
                                                        .kv = engine::KvType::kF16,
                                                        .packed_folder = options.packed_folder});
      if (loaded) model = std::move(*loaded);
    });
    if (model != nullptr) {
      auto kv = engine::KvCache::create(model->kv_shape(), 16);
      engine::KvSequence sequence = kv->make_sequence();
      const engine::Tokens tokens(512, 1);
      TANDEM_ASSERT(kv->reserve(sequence, tokens.size()), "16 blocks");
      const engine::BatchRow row = {&sequence, tokens, 1};
      engine::Logits logits;
      model->forward({&row, 1}, *kv, logits);
      started.resident = resident_bytes();
      (void)!::write(ends[1], &started, sizeof started);
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  Started started;
  const bool told = ::read(ends[0], &started, sizeof started) == sizeof started;
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  if (!told) return fail(ErrorCode::kInternal, "the model did not load in a process of its own");
  return started;
}

}  // namespace

Result<void> measure_start(engine::ComputeType type, const EngineOptions& options, Report& report) {
  const std::string name(name_of(type));
  TANDEM_ASSIGN(const Started first, start(type, options));
  TANDEM_ASSIGN(const Started again, start(type, options));
  report.add({"start." + name + ".pack", first.seconds, "s", std::nullopt, "packed and kept"});
  report.add({"start." + name + ".warm", again.seconds, "s", std::nullopt, "mapped from the page cache"});
  report.add({"resident." + name, static_cast<double>(again.resident) / (1 << 20), "MiB", std::nullopt,
              "after a prefill of 512 tokens"});
  return {};
}

}  // namespace tandem::bench
