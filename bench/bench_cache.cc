// What the caches do in a second, and what that saves.

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "bench/cache_parts.h"

int main(int argc, char** argv) {
  using tandem::bench::Report;
  CLI::App app("What the caches do in a second");
  std::string json;
  bool quick = false;
  std::string model = "configs/models/tandem-demo";
  std::vector<std::string> parts;
  app.add_option("--json", json, "write the rows to this file");
  app.add_flag("--quick", quick, "a smoke run of a second: its figures mean nothing");
  app.add_option("--model", model, "folder of the model for `jobs` and `kv`, a small one")
      ->capture_default_str();
  app.add_option("--parts", parts, "exact, jobs, kv; all if not given")->delimiter(',');
  CLI11_PARSE(app, argc, argv);

  const std::map<std::string, std::function<void(Report&)>> known = {
      {"exact", [&](Report& report) { tandem::bench::measure_exact(quick, report); }},
      {"jobs", [&](Report& report) { tandem::bench::measure_jobs(model, quick, report); }},
      {"kv", [&](Report& report) { tandem::bench::measure_kv(model, quick, report); }}};
  if (parts.empty()) {
    for (const auto& [name, measure] : known) parts.push_back(name);
  }
  Report report;
  for (const std::string& part : parts) {
    const auto found = known.find(part);
    if (found == known.end()) {
      fmt::print(stderr, "--parts: expected exact, jobs or kv, found '{}'\n", part);
      return 2;
    }
    found->second(report);
  }
  if (const auto written = report.write_json(json); !written) {
    fmt::print(stderr, "{}\n", written.error().text);
    return 1;
  }
  return 0;
}
