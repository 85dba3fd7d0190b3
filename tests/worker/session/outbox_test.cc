#include "worker/session/outbox.h"

#include <gmock/gmock.h>

#include "shared/base/limits.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> payloads(const Message& message) {
  std::vector<std::string> all;
  if (const auto* parts = std::get_if<Partial>(&message)) {
    EXPECT_EQ(parts->worker, "ann");
    for (const PartialItem& item : parts->items) all.push_back("part " + item.payload.to_string());
  } else {
    EXPECT_EQ(std::get<ResultMessage>(message).worker, "ann");
    for (const ResultItem& item : std::get<ResultMessage>(message).items)
      all.push_back("result " + item.payload.to_string());
  }
  return all;
}

PartialItem part(const std::string& payload) {
  return {JobId{}, 1, payload};
}
ResultItem result(const std::string& payload) {
  return {JobId{}, 1, {}, false, payload};
}

TEST(OutboxTest, PutsAllPartsInOneMessageAndThenAllResults) {
  Outbox outbox("ann", 100);
  outbox.add(part("a"));
  outbox.add(result("b"));
  outbox.add(part("c"));
  outbox.add(result("d"));
  EXPECT_THAT(payloads(outbox.next()), ElementsAre("part a", "part c"));
  EXPECT_THAT(outbox.sent(), IsEmpty());
  EXPECT_THAT(payloads(outbox.next()), ElementsAre("result b", "result d"));
  EXPECT_EQ(outbox.sent().size(), 2u);
  EXPECT_TRUE(outbox.empty());
}

TEST(OutboxTest, OffersTheSameAgainUntilItIsSent) {
  Outbox outbox("ann", 100);
  outbox.add(result("a"));
  EXPECT_THAT(payloads(outbox.next()), ElementsAre("result a"));
  outbox.add(result("b"));
  EXPECT_THAT(payloads(outbox.next()), ElementsAre("result a", "result b"));
}

TEST(OutboxTest, DropsTheOldestPartsAndNeverAResult) {
  Outbox outbox("ann", 4);
  for (int i = 0; i < 5; ++i) outbox.add(part(std::to_string(i)));
  for (int i = 0; i < 9; ++i) outbox.add(result(std::to_string(i)));
  EXPECT_THAT(payloads(outbox.next()), ElementsAre("part 1", "part 2", "part 3", "part 4"));
  EXPECT_EQ(outbox.n_parts_dropped(), 1u);
  EXPECT_EQ(outbox.n_results(), 9u);
}

TEST(OutboxTest, CutsWhatIsTooMuchForOneMessage) {
  Outbox outbox("ann", 10);
  const size_t n_items = limits::kItemsPerMessageMax + 3;
  for (size_t i = 0; i < n_items; ++i) outbox.add(result("x"));
  EXPECT_EQ(payloads(outbox.next()).size(), limits::kItemsPerMessageMax);
  EXPECT_EQ(outbox.sent().size(), limits::kItemsPerMessageMax);
  EXPECT_EQ(payloads(outbox.next()).size(), 3u);

  Outbox large("ann", 10);
  for (int i = 0; i < 10; ++i) large.add(result(std::string(limits::kPayloadBytesMax, 'x')));
  size_t n_sent = 0;
  while (!large.empty()) {
    size_t n_bytes = 0;
    for (const std::string& one : payloads(large.next())) n_bytes += one.size();
    EXPECT_LT(n_bytes, limits::kMessageBytesMax);
    n_sent += large.sent().size();
  }
  EXPECT_EQ(n_sent, 10u);
}

}  // namespace
}  // namespace tandem
