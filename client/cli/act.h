// One thing done to many jobs: cancel, put back, drop. In pages, since a message has a limit.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/include/tandem/client.h"

namespace tandem::cli {

// kInvalid names what is no id.
Result<std::vector<JobId>> parse_ids(const std::vector<std::string>& texts);

using Act = std::function<Result<std::vector<AcceptedItem>>(const std::vector<JobId>&)>;

struct Acted {
  size_t n_done = 0;
  std::map<JobState, size_t> already;  // nothing was done to them: they were in another state before
  std::vector<AcceptedItem> refused;   // with their errors
};

// `goal` is the state that the act leads to: a job whose answer names another one was in that already.
// Without it, every job that is not refused counts as done.
Result<Acted> act_on(const std::vector<JobId>& ids, const Act& act, std::optional<JobState> goal = {});

// For act_on_all(): nothing comes back into the list.
inline constexpr size_t kAllOfThem = SIZE_MAX;

// All jobs of the list `which`, page after page to its end, at most `n_max` of them: some may come back into
// the list while this goes on, such as a job that is put back and dies again. `stop` is asked between pages.
Result<Acted> act_on_all(Client& client, List which, size_t n_max, const Act& act, Duration patience,
                         const std::function<bool()>& stop, std::optional<JobState> goal = {});

// "3 jobs put back; 1 was ready already", and a line on standard error for each that was refused; or JSON.
// The exit code.
int report(const std::string& verb, const std::string& done, const Acted& acted, bool json);

// kInvalid where --yes was not said and nobody can be asked: standard input is no terminal.
Result<void> check_askable(bool yes);
// Asks on the terminal.
bool confirmed(const std::string& question);

}  // namespace tandem::cli
