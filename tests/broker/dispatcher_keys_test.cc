// A client's key sees its own jobs only: for it, no others exist.

#include "tests/broker/dispatcher_story.h"

namespace tandem::broker {
namespace {

class DispatcherKeysTest : public DispatcherStory {
 protected:
  template <typename M>
  M ask(const std::string& client, Message message) {
    std::vector<Event> events;
    events.push_back({{Door::kSubmit, "conn-" + client}, std::move(message), client});
    turn(std::move(events));
    return answer<M>();
  }
};

TEST_F(DispatcherKeysTest, OtherClientsJobsAreUnknownToIt) {
  ready("ann", 1);
  submit("hers", {.client = "cora", .attempts_max = 1});
  fail_job("ann", "hers", 1, "out of memory", true);
  EXPECT_EQ(ask<Fetched>("carl", Fetch{1, {id("hers")}}).items.at(0).state, JobState::kUnknown);
  EXPECT_EQ(ask<Accepted>("carl", Cancel{1, {id("hers")}}).items.at(0).error.code, ErrorCode::kNotFound);
  EXPECT_EQ(ask<Inspected>("carl", Inspect{1, id("hers")}).job.state, JobState::kUnknown);
  EXPECT_EQ(ask<Accepted>("carl", Revive{1, {id("hers")}}).items.at(0).error.code, ErrorCode::kNotFound);
  EXPECT_EQ(ask<Accepted>("carl", Forget{1, {id("hers")}}).items.at(0).error.code, ErrorCode::kNotFound);
  EXPECT_THAT(ask<StatusReply>("carl", Status{1}).clients, IsEmpty());

  EXPECT_EQ(ask<Fetched>("cora", Fetch{1, {id("hers")}}).items.at(0).state, JobState::kDead);
  EXPECT_EQ(ask<StatusReply>("cora", Status{1}).clients.size(), 1u);
  EXPECT_EQ(ask<Accepted>("cora", Cancel{1, {id("hers")}}).items.at(0).state, JobState::kDead);
}

// The id is taken, and that is all it learns.
TEST_F(DispatcherKeysTest, AnIdOfSomebodyElsesJobIsRefused) {
  submit("hers", {.client = "cora"});
  const auto answer = ask<Accepted>("carl", Submit{1, "carl", {{.id = id("hers"), .payload = "mine"}}});
  EXPECT_EQ(answer.items.at(0).error.code, ErrorCode::kExists);
  EXPECT_EQ(answer.items.at(0).state, JobState::kUnknown);
}

// Equal texts run once for both, and neither can tell.
TEST_F(DispatcherKeysTest, ATwinOfSomebodyElsesJobSaysNothingOfIt) {
  ready("ann", 5);
  submit("hers", {.client = "cora"});
  submit("his", {.client = "carl", .of = "hers"});
  EXPECT_EQ(ask<Accepted>("carl", Cancel{1, {id("hers")}}).items.at(0).error.code, ErrorCode::kNotFound);
  finish("ann", "hers", 1, "hello");
  EXPECT_EQ(ask<Fetched>("carl", Fetch{1, {id("his"), id("hers")}}).items.at(1).state, JobState::kUnknown);
  EXPECT_THAT(published(), UnorderedElementsAre("carl/ his done: hello", "cora/ hers done: hello"));
}

TEST_F(DispatcherKeysTest, OneTurnMayHearManyKeys) {
  submit("hers", {.client = "cora"});
  submit("his", {.client = "carl"});
  std::vector<Event> events;
  for (const std::string client : {"carl", "cora", ""}) {
    events.push_back({{Door::kSubmit, "conn"}, Cancel{1, {id("hers"), id("his")}}, client});
  }
  turn(std::move(events));
  std::vector<bool> is_found;
  for (const Message& message : answers_) {
    for (const AcceptedItem& item : std::get<Accepted>(message).items)
      is_found.push_back(item.error.text.empty());
  }
  answers_.clear();
  EXPECT_THAT(is_found, ElementsAre(false, true, true, false, true, true));
}

}  // namespace
}  // namespace tandem::broker
