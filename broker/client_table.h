// The clients that have jobs here, and what each may still bring.

#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "broker/job_table.h"
#include "shared/base/clock.h"

namespace tandem::broker {

// Of every client; 0 is no limit.
struct ClientLimits {
  uint64_t jobs_max = 0;        // without an outcome
  uint64_t bytes_max = 0;       // of their payloads
  uint64_t kept_bytes_max = 0;  // in the journal, of jobs with outcomes that it did not acknowledge
  double jobs_per_second = 0;   // accepted, in the long run
  uint64_t jobs_burst = 1'000;  // accepted at once, after a pause
};

struct Client {
  std::string name;
  uint64_t n_unfinished = 0;
  uint64_t unfinished_bytes = 0;
  uint64_t n_kept = 0;                // its finished jobs that are not forgotten
  SlotList unacknowledged;            // of those, in the order in which they finished
  uint64_t unacknowledged_bytes = 0;  // what these take in the journal
  double allowance = 0;               // jobs that may come at once
  TimePoint allowance_at;
  bool is_leaving = false;
};

// What limit a job would break, and when to try again; 0: never, it breaks the limit alone.
struct OverLimit {
  std::string text;
  milliseconds retry_after;
};

// Clients are known by a number for as long as they have jobs. One thread.
class ClientTable {
 public:
  explicit ClientTable(const ClientLimits& limits) : limits_(limits) {}

  uint32_t number_of(std::string_view name, TimePoint now);  // makes it known
  std::optional<uint32_t> find(std::string_view name) const;
  Client& operator[](uint32_t number) { return clients_[number]; }
  const Client& operator[](uint32_t number) const { return clients_[number]; }

  // Whether one more job may be accepted; if so it counts against the rate.
  std::optional<OverLimit> admit(uint32_t number, size_t payload_bytes, TimePoint now);

  // The client may be gone: to be called when a job of it is forgotten.
  void release(uint32_t number, TimePoint now);

  const std::unordered_map<std::string, uint32_t>& all() const { return numbers_; }

 private:
  void refill(Client& client, TimePoint now) const;
  bool is_idle(Client& client, TimePoint now) const;

  ClientLimits limits_;
  std::deque<Client> clients_;
  std::vector<uint32_t> free_;
  std::deque<uint32_t> leaving_;  // without jobs, but not yet to be forgotten
  std::unordered_map<std::string, uint32_t> numbers_;
};

}  // namespace tandem::broker
