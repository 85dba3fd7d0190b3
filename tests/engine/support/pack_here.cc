// A process that packs, for tests that start several, kill one, or give it a small disk:
//
//   pack_here FOLDER BYTES         opens "weights" in FOLDER and says what came of it
//   pack_here FOLDER BYTES stop    says "packing" in the middle of its work and stays there

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/engine/support/pack_pattern.h"

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const size_t n_bytes = std::strtoull(argv[2], nullptr, 10);
  int n_fills = 0;
  const auto memory = tandem::engine::PackedMemory::open(argv[1], "weights", n_bytes, [&](std::byte* to) {
    ++n_fills;
    tandem::testing::fill_pattern(to, n_bytes / 2);
    if (argc > 3) {
      std::puts("packing");
      std::fflush(stdout);
      for (;;) ::pause();
    }
    tandem::testing::fill_pattern(to, n_bytes);
  });
  if (!memory) {
    std::fprintf(stderr, "%s\n", memory.error().text.c_str());
    return 1;
  }
  std::printf("fills %d, shared %d, whole %d\n", n_fills, memory->is_shared() ? 1 : 0,
              tandem::testing::has_pattern(memory->data(), n_bytes) ? 1 : 0);
  return 0;
}
