#include "client/cli/act.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <utility>

#include "client/cli/program.h"
#include "client/cli/queue_json.h"

namespace tandem::cli {
namespace {

constexpr size_t kPage = 1000;

Result<void> act_on_page(const std::vector<JobId>& ids, const Act& act, std::optional<JobState> goal,
                         Acted& acted) {
  TANDEM_ASSIGN(std::vector<AcceptedItem> items, act(ids));
  for (AcceptedItem& item : items) {
    if (!item.error.text.empty()) {
      acted.refused.push_back(std::move(item));
    } else if (goal && item.state != *goal) {
      ++acted.already[item.state];
    } else {
      ++acted.n_done;
    }
  }
  return {};
}

}  // namespace

Result<std::vector<JobId>> parse_ids(const std::vector<std::string>& texts) {
  std::vector<JobId> ids;
  for (const std::string& text : texts) {
    TANDEM_ASSIGN(const JobId id, JobId::parse(text));
    ids.push_back(id);
  }
  return ids;
}

Result<Acted> act_on(const std::vector<JobId>& ids, const Act& act, std::optional<JobState> goal) {
  Acted acted;
  for (size_t i = 0; i < ids.size(); i += kPage) {
    const auto begin = ids.begin() + static_cast<ptrdiff_t>(i);
    const size_t n = std::min(kPage, ids.size() - i);
    TANDEM_TRY(act_on_page({begin, begin + static_cast<ptrdiff_t>(n)}, act, goal, acted));
  }
  return acted;
}

Result<Acted> act_on_all(Client& client, List which, size_t n_max, const Act& act, Duration patience,
                         const std::function<bool()>& stop, std::optional<JobState> goal) {
  Acted acted;
  size_t n_seen = 0;
  while (n_seen < n_max && !stop()) {
    which.jobs_max = static_cast<uint32_t>(std::min(kPage, n_max - n_seen));
    TANDEM_ASSIGN(const std::vector<JobStatus> page, client.list(which, patience));
    if (page.empty()) break;
    std::vector<JobId> ids;
    for (const JobStatus& job : page) ids.push_back(job.id);
    TANDEM_TRY(act_on_page(ids, act, goal, acted));
    n_seen += page.size();
    which.after = page.back().place;
  }
  return acted;
}

int report(const std::string& verb, const std::string& done, const Acted& acted, bool json) {
  if (json) {
    std::string field = done;
    std::replace(field.begin(), field.end(), ' ', '_');
    std::cout << acted_json(field, acted) << "\n";
  } else {
    for (const AcceptedItem& item : acted.refused)
      complain(verb, {item.error.code, item.id.to_string() + ": " + item.error.text}, 0);
    std::cout << acted.n_done << (acted.n_done == 1 ? " job " : " jobs ") << done;
    const char* separator = "; ";
    for (const auto& [state, n] : acted.already) {
      std::cout << std::exchange(separator, ", ") << n << (n == 1 ? " was " : " were ") << to_string(state)
                << " already";
    }
    std::cout << "\n";
  }
  return acted.refused.empty() ? kGood : kSomeFailed;
}

Result<void> check_askable(bool yes) {
  if (yes || ::isatty(STDIN_FILENO) != 0) return {};
  return fail(ErrorCode::kInvalid,
              "expected --yes with --all, because nobody can be asked: standard input is no terminal");
}

bool confirmed(const std::string& question) {
  std::fprintf(stderr, "%s [y/N] ", question.c_str());
  // poll() first, because reading is started again after a signal and poll() is not.
  pollfd waiting{STDIN_FILENO, POLLIN, 0};
  if (::poll(&waiting, 1, -1) < 0) return false;
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "yes" || answer == "Y";
}

}  // namespace tandem::cli
