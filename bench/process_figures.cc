#include "bench/process_figures.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>

namespace tandem::bench {
namespace {

// The number behind "name:" in a file of such lines.
uint64_t number_of(pid_t pid, const std::string& file_name, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/" + file_name);
  std::string word;
  while (file >> word) {
    uint64_t value = 0;
    if (word == name + ":" && file >> value) return value;
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return 0;
}

}  // namespace

double cpu_us(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  // The second field is the program's name in brackets and may hold anything; utime and stime are the 12th
  // and 13th after it.
  size_t at = line.rfind(')');
  for (int i = 0; i < 12 && at != std::string::npos; ++i) at = line.find(' ', at + 1);
  if (at == std::string::npos) return 0;
  char* end = nullptr;
  const double user = std::strtod(line.c_str() + at, &end);
  const double system = std::strtod(end, nullptr);
  return (user + system) * 1e6 / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

uint64_t written_bytes(pid_t pid) {
  return number_of(pid, "io", "write_bytes");
}

uint64_t anonymous_bytes(pid_t pid) {
  return number_of(pid, "status", "RssAnon") * 1024;
}

}  // namespace tandem::bench
