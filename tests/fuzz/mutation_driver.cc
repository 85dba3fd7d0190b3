// Stands in for libFuzzer where there is no clang, so that every build runs every fuzz target for a moment:
//
//   some_fuzz [rounds] files or folders of samples...
//
// Each round changes a sample a little (bytes turned, cut out, doubled, taken from another) and calls the
// target. Prints its seed; TANDEM_FUZZ_SEED repeats a run. Samples themselves are run first, unchanged.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

void run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string changed(std::string text, const std::vector<std::string>& samples, std::mt19937_64& random) {
  const auto below = [&](size_t n) { return n == 0 ? 0 : static_cast<size_t>(random() % n); };
  for (size_t n = 1 + below(4); n > 0; --n) {
    const size_t at = below(text.size() + 1), length = below(std::min<size_t>(text.size() - at, 64) + 1);
    switch (below(6)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ 1 << below(8));
        break;
      case 1:
        text.insert(at, 1, static_cast<char>(below(256)));
        break;
      case 2:
        text.erase(at, length);
        break;
      case 3:
        text.insert(at, text.substr(at, length));
        break;
      case 4:
        text.resize(at);
        break;
      default: {
        const std::string& other = samples[below(samples.size())];
        text.insert(at, other.substr(below(other.size() + 1), length));
      }
    }
  }
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  const int n_rounds = argc > 1 ? std::atoi(argv[1]) : 1000;
  std::vector<std::string> samples = {""};
  for (int i = 2; i < argc; ++i) {
    if (std::filesystem::is_directory(argv[i])) {
      for (const auto& entry : std::filesystem::directory_iterator(argv[i]))
        samples.push_back(read(entry.path()));
    } else {
      samples.push_back(read(argv[i]));
    }
  }
  std::sort(samples.begin(), samples.end());  // a folder has no order of its own

  const char* given = std::getenv("TANDEM_FUZZ_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("%zu samples, %d rounds, seed %llu\n", samples.size(), n_rounds,
              static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  std::mt19937_64 random(seed);
  for (const std::string& sample : samples) run(sample);
  for (int round = 0; round < n_rounds; ++round)
    run(changed(samples[random() % samples.size()], samples, random));
  return 0;
}
