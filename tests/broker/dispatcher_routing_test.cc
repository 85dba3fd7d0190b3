// The same text goes to the same host, so that its caches know it; a host that comes or goes moves its share
// only.

#include <algorithm>
#include <map>

#include "tests/broker/dispatcher_story.h"

namespace tandem::broker {
namespace {

constexpr int kHosts = 8;
constexpr uint64_t kRoutes = 10'000;

class DispatcherRoutingTest : public DispatcherStory {
 protected:
  void open_host(int host) {
    join("worker at " + std::to_string(host), {.host = "host" + std::to_string(host), .credit = 100'000});
  }
  void close_host(int host) { goodbye("worker at " + std::to_string(host)); }

  // Where a job of each route goes when nobody is busy.
  std::map<uint64_t, std::string> routes() {
    std::map<uint64_t, std::string> workers;
    ++round_;
    for (uint64_t route = 0; route < kRoutes; ++route) {
      const std::string job = "job " + std::to_string(route) + " of round " + std::to_string(round_);
      submit(job, {.route = mixed(route)});
      const Lines lent = assignments();
      if (lent.size() != 1) continue;
      const size_t from = lent[0].find("-> ") + 3;
      workers[route] = lent[0].substr(from, lent[0].find(',') - from);
      finish(workers[route], job, 1, "");
      published();
    }
    EXPECT_EQ(workers.size(), kRoutes);
    return workers;
  }
  static uint64_t mixed(uint64_t route) { return hash128(std::to_string(route)).low64(); }

 private:
  int round_ = 0;
};

double share(const std::map<uint64_t, std::string>& routes, const std::string& worker) {
  const auto n =
      std::count_if(routes.begin(), routes.end(), [&](const auto& entry) { return entry.second == worker; });
  return static_cast<double>(n) / static_cast<double>(routes.size());
}

TEST_F(DispatcherRoutingTest, ARouteKeepsItsHostAndAHostThatComesOrGoesMovesItsOwnShareOnly) {
  for (int host = 0; host < kHosts; ++host) open_host(host);
  const auto before = routes();
  EXPECT_EQ(routes(), before);
  for (int host = 0; host < kHosts; ++host) {
    EXPECT_NEAR(share(before, "worker at " + std::to_string(host)), 1.0 / kHosts, 0.02);
  }

  close_host(3);
  const auto without = routes();
  for (const auto& [route, worker] : before) {
    if (worker == "worker at 3") {
      EXPECT_NE(without.at(route), worker);
    } else {
      ASSERT_EQ(without.at(route), worker) << route;
    }
  }

  open_host(3);
  EXPECT_EQ(routes(), before);  // it is welcomed by its own

  open_host(kHosts);
  size_t n_moved = 0;
  for (const auto& [route, worker] : routes()) {
    if (worker == before.at(route)) continue;
    ASSERT_EQ(worker, "worker at " + std::to_string(kHosts)) << route;
    ++n_moved;
  }
  EXPECT_NEAR(static_cast<double>(n_moved) / kRoutes, 1.0 / (kHosts + 1), 0.02);
}

// A text that everybody asks for must not fill one host while the others are idle.
TEST_F(DispatcherRoutingTest, NoHostGetsMoreThanItsShareAndAQuarterWhileOthersHaveRoom) {
  for (int host = 0; host < kHosts; ++host) open_host(host);
  std::map<std::string, int> n_lent;
  for (int i = 0; i < 800; ++i) submit("job" + std::to_string(i), {.route = 7});
  for (const std::string& line : assignments()) ++n_lent[line.substr(line.find("-> "))];
  ASSERT_GE(n_lent.size(), 7u);  // seven at the bound have room for all
  for (const auto& [worker, n] : n_lent) EXPECT_LE(n, 800 / kHosts * 5 / 4 + 1) << worker;
}

TEST_F(DispatcherRoutingTest, AHostWithoutRoomIsNotWaitedFor) {
  join("ann", {.host = "one", .credit = 1});
  join("bob", {.host = "two", .credit = 1});
  submit_all({"first", "second"}, {.route = 7});
  EXPECT_EQ(assignments().size(), 2u);
}

TEST_F(DispatcherRoutingTest, OnAHostTheFreestWorkerIsChosen) {
  join("ann", {.host = "one", .credit = 2});
  join("bob", {.host = "one", .credit = 2});
  submit_all({"first", "second"}, {.route = 7});
  EXPECT_THAT(assignments(), UnorderedElementsAre("first -> ann, attempt 1", "second -> bob, attempt 1"));
}

}  // namespace
}  // namespace tandem::broker
