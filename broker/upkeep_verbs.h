// The verbs of tandem-broker that look after a journal: check, dump, compact, backup.

#pragma once

#include <filesystem>
#include <string>

namespace CLI {
class App;
}

namespace tandem::broker {

struct UpkeepVerbs {
  CLI::App *check = nullptr, *dump = nullptr, *compact = nullptr, *backup = nullptr;
  std::string folder;  // as given on the command line; empty: the one of the settings
  std::string destination;
  bool json = false, payloads = false;

  void add_to(CLI::App& app);
  bool parsed() const;
  // Does what was asked for with the journal in `configured`, unless another folder was given. The exit
  // status: 0 good, 1 damage or failure, 2 no journal there, or one that cannot be opened, 4 good, and what
  // was printed is lost (a full disk; not a pipe that nobody reads).
  int run(const std::filesystem::path& configured) const;
};

}  // namespace tandem::broker
