#include "broker/client_table.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "shared/base/format.h"

namespace tandem::broker {
namespace {

// When a place is free depends on the workers; this is how often it is worth to ask.
constexpr milliseconds kPlaceRetry{200};

// Of an allowance that was filled in small steps: whoever comes when it was told to is let in.
constexpr double kRounding = 1e-6;

}  // namespace

uint32_t ClientTable::number_of(std::string_view name, TimePoint now) {
  const auto found = numbers_.find(std::string(name));
  if (found != numbers_.end()) return found->second;
  uint32_t number = static_cast<uint32_t>(clients_.size());
  if (free_.empty()) {
    clients_.emplace_back();
  } else {
    number = free_.back();
    free_.pop_back();
  }
  Client& client = clients_[number];
  client = Client{};
  client.name = name;
  client.allowance = static_cast<double>(limits_.jobs_burst);
  client.allowance_at = now;
  numbers_.emplace(client.name, number);
  return number;
}

std::optional<uint32_t> ClientTable::find(std::string_view name) const {
  const auto found = numbers_.find(std::string(name));
  if (found == numbers_.end()) return std::nullopt;
  return found->second;
}

// A bucket that fills at the rate and holds a burst.
void ClientTable::refill(Client& client, TimePoint now) const {
  const double seconds = std::chrono::duration<double>(now - client.allowance_at).count();
  client.allowance = std::min(static_cast<double>(limits_.jobs_burst),
                              client.allowance + std::max(seconds, 0.0) * limits_.jobs_per_second);
  client.allowance_at = now;
}

std::optional<OverLimit> ClientTable::admit(uint32_t number, size_t payload_bytes, TimePoint now) {
  Client& client = clients_[number];
  if (limits_.jobs_max > 0 && client.n_unfinished >= limits_.jobs_max) {
    return OverLimit{
        fmt::format("limits.jobs_max: client '{}' has {} jobs without an outcome, the most it may",
                    client.name, client.n_unfinished),
        kPlaceRetry};
  }
  if (limits_.bytes_max > 0 && payload_bytes > limits_.bytes_max) {
    return OverLimit{
        fmt::format("limits.bytes_max: the jobs of client '{}' may have {} bytes, and this one alone "
                    "has {}",
                    client.name, limits_.bytes_max, payload_bytes),
        milliseconds(0)};
  }
  if (limits_.bytes_max > 0 && client.unfinished_bytes + payload_bytes > limits_.bytes_max) {
    return OverLimit{fmt::format("limits.bytes_max: the jobs of client '{}' have {} bytes, and may have {}; "
                                 "this one brings {} more",
                                 client.name, client.unfinished_bytes, limits_.bytes_max, payload_bytes),
                     kPlaceRetry};
  }
  if (limits_.kept_bytes_max > 0 && client.unacknowledged_bytes >= limits_.kept_bytes_max) {
    return OverLimit{fmt::format("limits.kept_bytes_max: client '{}' has {} outcomes that it did not "
                                 "acknowledge, which take {} bytes of {}; collect them",
                                 client.name, client.unacknowledged.size(), client.unacknowledged_bytes,
                                 limits_.kept_bytes_max),
                     kPlaceRetry};
  }
  if (limits_.jobs_per_second > 0) {
    refill(client, now);
    if (client.allowance < 1 - kRounding) {
      const double wait_ms = 1'000 * (1 - client.allowance) / limits_.jobs_per_second;
      return OverLimit{fmt::format("limits.jobs_per_second: client '{}' brings more than {} jobs a second",
                                   client.name, limits_.jobs_per_second),
                       milliseconds(static_cast<int64_t>(std::ceil(wait_ms)))};
    }
    client.allowance = std::max(client.allowance - 1, 0.0);
  }
  return std::nullopt;
}

// Its rate is remembered until it makes no difference.
bool ClientTable::is_idle(Client& client, TimePoint now) const {
  if (client.n_unfinished > 0 || client.n_kept > 0) return false;
  if (limits_.jobs_per_second <= 0) return true;
  refill(client, now);
  return client.allowance >= static_cast<double>(limits_.jobs_burst);
}

void ClientTable::release(uint32_t number, TimePoint now) {
  if (clients_[number].n_unfinished > 0 || clients_[number].n_kept > 0 || clients_[number].is_leaving) return;
  clients_[number].is_leaving = true;
  leaving_.push_back(number);
  // A few at a time, in turn.
  for (int i = 0; i < 2 && !leaving_.empty(); ++i) {
    const uint32_t next = leaving_.front();
    leaving_.pop_front();
    Client& client = clients_[next];
    if (is_idle(client, now)) {
      numbers_.erase(client.name);
      client = Client{};
      free_.push_back(next);
    } else if (client.n_unfinished == 0 && client.n_kept == 0) {
      leaving_.push_back(next);
    } else {
      client.is_leaving = false;
    }
  }
}

}  // namespace tandem::broker
