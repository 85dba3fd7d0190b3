// Where Tandem puts things when nobody says otherwise: the XDG base directories of the user who runs it.

#pragma once

#include <filesystem>
#include <string>

namespace tandem {

// Sockets: $TANDEM_RUN_DIR, else $XDG_RUNTIME_DIR/tandem, else /tmp/tandem-<uid>.
std::filesystem::path run_dir();
// What must outlive a restart, such as the journal: $XDG_STATE_HOME/tandem, else ~/.local/state/tandem.
std::filesystem::path state_dir();
// What may be deleted at any time: $XDG_CACHE_HOME/tandem, else ~/.cache/tandem.
std::filesystem::path cache_dir();

// "ipc://<run_dir>/<name>"
std::string default_endpoint(const std::string& name);

}  // namespace tandem
