// tandem-worker: the command line.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>

#include "shared/base/log.h"
#include "shared/base/ready_line.h"
#include "shared/base/service_manager.h"
#include "worker/cache/answer_cache.h"
#include "worker/cache/kv_store.h"
#include "worker/config.h"
#include "worker/engine/model/random_model.h"
#include "worker/tasks/task.h"
#include "worker/worker.h"

namespace {

using namespace tandem;

int failed(const Error& error) {
  std::cerr << "tandem-worker: " << error.text << "\n";
  return error.code == ErrorCode::kInvalid ? 2 : 1;
}

int list_tasks(const WorkerConfig& config) {
  const auto book = TaskBook::load(config.tasks);
  if (!book) return failed(book.error());
  size_t width = 0;
  for (const auto& [name, task] : (*book)->tasks()) width = std::max(width, name.size());
  for (const auto& [name, task] : (*book)->tasks()) {
    std::cout << name << std::string(width - name.size() + 2, ' ') << task.description << "\n";
  }
  return 0;
}

int cache_verb(const WorkerConfig& config, bool clear) {
  const SystemClock clock;
  const auto cache =
      AnswerCache::open({.folder = config.cache_folder, .bytes_max = config.cache_bytes}, clock);
  if (!cache) return failed(cache.error());
  if (clear) {
    if (auto cleared = (*cache)->clear(); !cleared) return failed(cleared.error());
    if (auto written = (*cache)->settle(); !written) return failed(written.error());
  }
  const KvStoreOptions prefix{.folder = config.cache_folder / "prefix",
                              .bytes_max = std::max<uint64_t>(config.prefix_bytes, 1),
                              .identity = {},
                              .block_bytes = 1};  // looks at no block
  auto prefixes = KvStore::open(prefix);
  if (!prefixes) return failed(prefixes.error());
  if (clear) {
    if (auto cleared = prefixes->clear(); !cleared) return failed(cleared.error());
  }
  const auto blocks = prefixes->totals();
  if (!blocks) return failed(blocks.error());
  const AnswerCacheStats stats = (*cache)->stats();
  std::cout << "folder " << config.cache_folder.string() << "\n"
            << "entries " << stats.entries << "\n"
            << "bytes " << stats.bytes << "\n"
            << "bytes_max " << config.cache_bytes << "\n"
            << "prefix_blocks " << blocks->blocks << "\n"
            << "prefix_bytes " << blocks->bytes << "\n"
            << "prefix_bytes_max " << config.prefix_bytes << "\n";
  return 0;
}

int write_random(const std::string& like, uint64_t seed, const std::string& folder) {
  int percent_shown = -1;
  const auto written = engine::write_random_model(like, seed, folder, [&](uint64_t n_done, uint64_t n_all) {
    const int percent = static_cast<int>(n_all == 0 ? 100 : 100 * n_done / n_all);
    if (percent == percent_shown || ::isatty(STDERR_FILENO) == 0) return;
    percent_shown = percent;
    std::fprintf(stderr, "\r%3d %% of %.2f GB", percent, static_cast<double>(n_all) / 1e9);
  });
  if (percent_shown >= 0) std::fputc('\n', stderr);
  if (!written) return failed(written.error());
  std::cout << folder << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("One model, many text tasks: takes jobs from a Tandem broker and answers them.",
               "tandem-worker");
  app.set_version_flag("--version", TANDEM_VERSION);
  app.footer(
      "Every setting: --print-config. Each can also be given in the environment, as in\n"
      "TANDEM_ENGINE_KV_BYTES=2GiB. SIGTERM finishes the jobs that are begun, a second one ends at once.");

  ConfigSources sources;
  std::string model, work, results;
  bool print_config = false, check_config = false;
  int ready_fd = STDOUT_FILENO;
  app.add_option("-c,--config", sources.file, "settings, a TOML file such as configs/worker.toml");
  app.add_option("--set", sources.sets, "one setting, such as engine.threads=2; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app.add_option("-m,--model", model, "model folder; the same as --set model.folder=DIR");
  app.add_option("--work", work, "the broker's work socket; the same as --set worker.work=ENDPOINT");
  app.add_option("--results", results,
                 "the broker's results socket; the same as --set worker.results=ENDPOINT");
  app.add_flag("--print-config", print_config, "show the settings in effect and end");
  app.add_flag("--check-config", check_config, "look for mistakes in the settings and end");
  app.add_option("--ready-fd", ready_fd,
                 "write the line \"ready ...\" to this open file, not to standard output")
      ->check(CLI::NonNegativeNumber);

  CLI::App* random = app.add_subcommand("random-model", "write a model folder with random weights");
  std::string like, folder;
  uint64_t seed = 1;
  std::string names;
  for (const std::string_view name : engine::random_model_names()) {
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  random->add_option("--like", like, "the model whose shape it has: " + names)->required();
  random->add_option("--seed", seed, "the same seed gives the same weights")->check(CLI::NonNegativeNumber);
  random->add_option("-o,--output", folder, "the new folder")->required();

  CLI::App* tasks = app.add_subcommand("tasks", "list the tasks");
  CLI::App* cache = app.add_subcommand("cache", "look into what is kept on this host, or empty it");
  cache->require_subcommand(1);
  cache->add_subcommand("stats", "answers and blocks of keys and values, and their bytes");
  CLI::App* clear = cache->add_subcommand("clear", "forget all answers, and all keys and values");
  app.require_subcommand(0, 1);
  for (CLI::App* verb : {tasks, cache, clear, cache->get_subcommand("stats")}) verb->fallthrough();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (random->parsed()) return write_random(like, seed, folder);

  // The short forms are ordinary settings, and the last word.
  if (!model.empty()) sources.sets.push_back("model.folder=" + model);
  if (!work.empty()) sources.sets.push_back("worker.work=" + work);
  if (!results.empty()) sources.sets.push_back("worker.results=" + results);

  std::string printed;
  auto config = load_worker_config(sources, &printed);
  if (print_config) std::cout << printed;
  if (!config) return failed(config.error());
  if (print_config || check_config) return 0;
  if (auto level = set_log_level(config->log_level); !level) return failed(level.error());
  if (cache->parsed()) return cache_verb(*config, clear->parsed());
  if (auto completed = complete(*config); !completed) return failed(completed.error());
  if (tasks->parsed()) return list_tasks(*config);

  StopSignal stop;  // before any thread
  const SystemClock clock;
  const auto ran = run_worker(*config, clock, stop, [&](const std::string& facts) {
    say_ready(ready_fd, facts);
    tell_service_manager("READY=1\nSTATUS=" + facts);
  });
  return ran ? 0 : failed(ran.error());
}
