// A disk that may lose what was not synced: records go in, and at any moment it says what could be found on
// it if the power went now.

#pragma once

#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/system/powercut/write_log.h"

namespace tandem::testing {

// What reached the disk of the writes and names that were not synced.
enum class Luck {
  kNothing,
  kEverything,
  kSomeWrites,   // each write wholly or not at all, any subset
  kSomeSectors,  // each sector of 512 bytes, any subset
};
inline constexpr Luck kLucks[] = {Luck::kNothing, Luck::kEverything, Luck::kSomeWrites, Luck::kSomeSectors};

class DiskImage {
 public:
  using Files = std::map<std::string, std::string>;

  void apply(const WriteRecord& record);
  Files after_power_cut(Luck luck, std::mt19937_64& random) const;

 private:
  struct Pending {
    WriteRecord record;
    bool durable = false;
  };
  struct File {
    std::string synced;  // what is surely there
    std::vector<Pending> pending;
    // Set until the folder is synced: the file may still have this name, or none.
    std::optional<std::string> name_before;
  };

  std::map<std::string, File> files_;
};

}  // namespace tandem::testing
