#include "tests/system/campaign/faults.h"

#include <signal.h>

namespace tandem::testing {
namespace {

// Room that a journal needs to start and go on for a while.
constexpr size_t kRoomKib = 16 * 1024;

}  // namespace

void Faults::one() {
  const uint64_t dice = random_() % 100;
  if (means_.disk != nullptr && !disk_full_ && dice < 50) return fill_disk();
  if (means_.workers_host != nullptr && dice < 50) return hit_cable();
  const uint64_t whom = random_() % 4;
  hit(whom == 0 ? Stage::Role::kBroker : whom == 1 ? Stage::Role::kClient : Stage::Role::kWorker);
  // Misfortunes come together.
  if (random_() % 8 == 0) hit(Stage::Role::kBroker);
}

void Faults::hit(Stage::Role role) {
  const auto actors = stage_.of(role);
  Stage::Actor& victim = *actors[random_() % actors.size()];
  const std::string who = role == Stage::Role::kBroker   ? "broker"
                          : role == Stage::Role::kWorker ? "worker"
                                                         : "client";
  const uint64_t dice = random_() % 10;
  if (dice < 5) {
    ++counts_[who + " killed"];
    stage_.end(victim, false, between(0, 400));
  } else if (dice < 7) {
    ++counts_[who + " told to end"];
    stage_.end(victim, true, between(0, 400));
    later(between(500, 3000), [&victim, this] {
      if (victim.process && victim.told_to_end) victim.process->kill(SIGKILL);
    });
  } else {
    // A worker for longer than its lease, or for shorter; a broker while leases run out.
    const bool is_long = random_() % 2 == 0;
    ++counts_[who + (is_long ? " stopped for more than a lease" : " stopped for less than a lease")];
    const auto lease = static_cast<int>(kStageLease.count());
    stage_.signal(victim, SIGSTOP);
    later(is_long ? between(lease + 200, 2 * lease) : between(20, lease * 6 / 10),
          [&victim, this] { stage_.go_on(victim); });
  }
}

void Faults::hit_cable() {
  Host* const host =
      random_() % 3 == 0 && means_.clients_host != nullptr ? means_.clients_host : means_.workers_host;
  const auto lease = static_cast<int>(kStageLease.count());
  if (random_() % 3 == 0 &&
      host->disturb(static_cast<int>(5 + random_() % 30), static_cast<int>(random_() % 50))) {
    ++counts_["cable disturbed"];
  } else {
    ++counts_["cable cut"];
    host->cut();
  }
  later(random_() % 2 == 0 ? between(20, lease / 2) : between(lease, 3 * lease), [host] { host->mend(); });
}

// The broker ends when it cannot write; then there is room, and it is started again.
void Faults::fill_disk() {
  ++counts_["disk filled"];
  disk_full_ = true;
  (void)means_.disk->resize(means_.disk->used_kib() + random_() % 64);
  later(between(300, 1500), [this] {
    (void)means_.disk->resize(means_.disk->used_kib() + kRoomKib);
    disk_full_ = false;
  });
}

void Faults::later(Duration pause, std::function<void()> what) {
  later_.emplace(clock_.now() + pause, std::move(what));
}

void Faults::tend() {
  while (!later_.empty() && later_.begin()->first <= clock_.now()) {
    const auto what = std::move(later_.begin()->second);
    later_.erase(later_.begin());
    what();
  }
}

void Faults::end_all() {
  while (!later_.empty()) {
    const auto what = std::move(later_.begin()->second);
    later_.erase(later_.begin());
    what();
  }
}

}  // namespace tandem::testing
