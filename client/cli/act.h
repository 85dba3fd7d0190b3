// One thing done to many jobs: cancel, put back, drop. In pages, since a message has a limit.

#pragma once

#include <functional>
#include <string>
#include <vector>

#include "client/include/tandem/client.h"

namespace tandem::cli {

// kInvalid names what is no id.
Result<std::vector<JobId>> parse_ids(const std::vector<std::string>& texts);

using Act = std::function<Result<std::vector<AcceptedItem>>(const std::vector<JobId>&)>;

struct Acted {
  size_t n_done = 0;
  std::vector<AcceptedItem> refused;  // with their errors
};

Result<Acted> act_on(const std::vector<JobId>& ids, const Act& act);

// All jobs of the list `which`, at most `n_max` of them: some may come back into the list while this goes on,
// such as a job that is put back and dies again. `stop` is asked between pages.
Result<Acted> act_on_all(Client& client, List which, size_t n_max, const Act& act, Duration patience,
                         const std::function<bool()>& stop);

// "3 jobs put back", and a line on standard error for each that was refused; or JSON. The exit code.
int report(const std::string& verb, const std::string& done, const Acted& acted, bool json);

// Asks on the terminal; yes without asking where standard input is none.
bool confirmed(const std::string& question);

}  // namespace tandem::cli
