// Jobs whose answers are in the cache, through the whole of it.

#include <chrono>
#include <string>
#include <variant>
#include <vector>

#include "bench/cache_parts.h"
#include "bench/must.h"
#include "client/include/tandem/client.h"
#include "shared/base/assert.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace tandem::bench {
namespace {

using namespace std::chrono_literals;
using tandem::testing::Process;

constexpr size_t kOutstanding = 2'000;

// A sentence of a review, all different.
std::string text_of(int number) {
  return "The room was clean and the staff friendly, but breakfast number " + std::to_string(number) +
         " came late.";
}

Process start(std::vector<std::string> arguments, const testing::TempDir& folder) {
  Process process(std::move(arguments), {.input = "",
                                         .environment = {{"TANDEM_RUN_DIR", folder.path().string()},
                                                         {"TANDEM_BROKER", folder.path().string()},
                                                         {"OPENBLAS_NUM_THREADS", "1"}},
                                         .output_dir = folder.path()});
  TANDEM_ASSERT(process.wait_for_output("ready"), process.err().c_str());
  return process;
}

// Submits the texts from `begin` to `end` and waits for all outcomes; how many were in the cache.
int run(Client& client, int begin, int end) {
  int n_hits = 0;
  const auto hear = [&](Duration time) {
    for (const ClientEvent& event : client.wait(time)) {
      const auto* outcome = std::get_if<Outcome>(&event);
      if (outcome == nullptr) continue;
      TANDEM_ASSERT(outcome->result, "jobs of this bench do not fail");
      n_hits += outcome->result->tasks[0].source == AnswerSource::kExact;
    }
  };
  JobRequest request;
  request.tasks = {"sentiment"};
  for (int i = begin; i < end; ++i) {
    while (client.n_outstanding() >= kOutstanding) hear(1s);
    request.text = text_of(i);
    TANDEM_ASSERT(client.submit(request), "there is room");
  }
  while (client.n_outstanding() > 0) hear(1s);
  return n_hits;
}

}  // namespace

void measure_jobs(const std::filesystem::path& model, bool quick, Report& report) {
  const testing::TempDir folder;
  const int n_texts = quick ? 50 : 5'000;
  const int n_rounds = quick ? 1 : 40;
  const auto broker =
      start({"tandem-broker", "--set", "journal.folder=" + (folder / "journal").string()}, folder);
  const auto worker = start({"tandem-worker", "--model", model.string(), "--set",
                             "cache.folder=" + (folder / "cache").string(), "--set", "engine.threads=1"},
                            folder);
  ClientOptions options;
  options.outstanding_max = kOutstanding;
  options.submit_endpoint = "ipc://" + (folder / "submit").string();
  options.results_endpoint = "ipc://" + (folder / "results-out").string();
  auto client = must(Client::open(options));

  run(*client, 0, n_texts);  // the model answers
  const auto begin = std::chrono::steady_clock::now();
  int n_hits = 0;
  for (int i = 0; i < n_rounds; ++i) n_hits += run(*client, 0, n_texts);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  TANDEM_ASSERT(n_hits == n_rounds * n_texts, "every answer is there");
  report.add(
      {"cache.exact.jobs", n_hits / seconds, "1/s", std::nullopt,
       fmt::format("{} texts again and again, {} outstanding, submit to result", n_texts, kOutstanding)});
}

}  // namespace tandem::bench
