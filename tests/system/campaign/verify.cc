#include "tests/system/campaign/verify.h"

#include <algorithm>
#include <thread>

namespace tandem::testing {
namespace {

using namespace std::chrono_literals;

constexpr size_t kFetchMax = 1000;
constexpr size_t kExamplesMax = 10;

struct Ended {
  JobState state = JobState::kUnknown;
  std::string word;
};

// Ids that the broker has given an end, or does not know, are taken out of `ids`.
bool fetch_some(Client& client, std::vector<JobId>& ids, std::map<JobId, Ended>& ended) {
  bool answered = false;
  std::set<JobId> gone;
  for (size_t from = 0; from < ids.size(); from += kFetchMax) {
    const std::vector<JobId> some(
        ids.begin() + static_cast<ptrdiff_t>(from),
        ids.begin() + static_cast<ptrdiff_t>(std::min(ids.size(), from + kFetchMax)));
    const auto answer = client.fetch(some, 10s);
    if (!answer) continue;
    answered = true;
    for (const FetchedItem& item : *answer) {
      if (item.state != JobState::kUnknown && !is_finished(item.state)) continue;
      gone.insert(item.id);
      ended[item.id] = {item.state, is_finished(item.state) ? outcome_word(outcome_of(item)) : ""};
    }
  }
  std::erase_if(ids, [&](const JobId& id) { return gone.contains(id); });
  return answered;
}

void count(JobState state, Findings& findings) {
  ++findings.n_outcomes;
  switch (state) {
    case JobState::kDone:
      ++findings.n_done;
      break;
    case JobState::kDead:
      ++findings.n_dead;
      break;
    case JobState::kExpired:
      ++findings.n_expired;
      break;
    case JobState::kCancelled:
      ++findings.n_cancelled;
      break;
    default:
      ++findings.n_failed;
  }
}

void blame(Findings& findings, size_t& counter, const JobId& id, const std::string& what) {
  ++counter;
  if (findings.examples.size() < kExamplesMax) findings.examples.push_back(id.to_string() + " " + what);
}

std::string listed(const std::set<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

}  // namespace

void Findings::add(const Findings& other) {
  n_submitted += other.n_submitted;
  n_accepted += other.n_accepted;
  n_outcomes += other.n_outcomes;
  n_done += other.n_done;
  n_dead += other.n_dead;
  n_expired += other.n_expired;
  n_cancelled += other.n_cancelled;
  n_failed += other.n_failed;
  n_witnessed += other.n_witnessed;
  n_lost += other.n_lost;
  n_stuck += other.n_stuck;
  n_doubled += other.n_doubled;
  n_leftover += other.n_leftover;
  examples.insert(examples.end(), other.examples.begin(), other.examples.end());
}

Findings verify(Client& client, const JobRecords& records,
                const std::map<JobId, std::set<std::string>>& witnessed, Duration at_most) {
  const SystemClock clock;
  const TimePoint end = clock.now() + at_most;
  Findings findings;
  std::vector<JobId> ids;
  for (const auto& [id, record] : records) ids.push_back(id);
  findings.n_submitted = ids.size();
  std::map<JobId, Ended> ended;
  while (!ids.empty() && clock.now() < end) {
    fetch_some(client, ids, ended);
    if (!ids.empty()) std::this_thread::sleep_for(50ms);
  }
  for (const JobId& id : ids) blame(findings, findings.n_stuck, id, "has no outcome");

  for (const auto& [id, record] : records) {
    std::set<std::string> words = record.outcomes;
    if (const auto seen = witnessed.find(id); seen != witnessed.end()) {
      words.insert(seen->second.begin(), seen->second.end());
      ++findings.n_witnessed;
    }
    const auto known = ended.find(id);
    const bool is_there = known != ended.end() && known->second.state != JobState::kUnknown;
    if (record.accepted || is_there) ++findings.n_accepted;
    if (is_there) {
      count(known->second.state, findings);
      words.insert(known->second.word);
    } else if (known != ended.end() && record.accepted) {
      blame(findings, findings.n_lost, id, "was accepted, and the broker does not know it");
    } else if (known != ended.end() && std::any_of(words.begin(), words.end(), [](const std::string& word) {
                 return word.starts_with("done");
               })) {
      blame(findings, findings.n_lost, id, "was done, and the broker does not know it");
    }
    if (record.heard_twice) blame(findings, findings.n_doubled, id, "came twice to one process");
    if (words.size() > 1) blame(findings, findings.n_doubled, id, "has the outcomes " + listed(words));
  }

  // Nothing else is left behind: jobs whose client died before it could write down that they exist.
  uint64_t left = 0;
  do {
    const auto status = client.status(10s);
    left = status ? status->ready + status->delayed + status->leased : 1;
    if (left > 0) std::this_thread::sleep_for(50ms);
  } while (left > 0 && clock.now() < end + 10s);
  findings.n_leftover = left;
  return findings;
}

}  // namespace tandem::testing
