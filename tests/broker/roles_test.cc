#include "broker/roles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tandem::broker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const PeerName kAnn{Role::kClient, "ann"};
const PeerName kHost{Role::kWorker, "host7"};
const PeerName kOps{Role::kAdmin, "ops"};

TEST(RolesTest, ClientsAskAndWorkersAnswer) {
  for (const Message& message : {Message(Submit{}), Message(Fetch{}), Message(Cancel{}), Message(Status{})}) {
    EXPECT_TRUE(may(Role::kClient, message)) << message.index();
    EXPECT_TRUE(may(Role::kAdmin, message)) << message.index();
    EXPECT_FALSE(may(Role::kWorker, message)) << message.index();
  }
  for (const Message& message : {Message(Hello{}), Message(Ready{}), Message(Heartbeat{}), Message(Goodbye{}),
                                 Message(ResultMessage{}), Message(Partial{})}) {
    EXPECT_TRUE(may(Role::kWorker, message)) << message.index();
    EXPECT_FALSE(may(Role::kClient, message)) << message.index();
    EXPECT_FALSE(may(Role::kAdmin, message)) << message.index();
  }
}

TEST(RolesTest, NobodySpeaksForTheBroker) {
  for (const Message& message :
       {Message(Accepted{}), Message(Fetched{}), Message(StatusReply{}), Message(Refused{}),
        Message(Welcome{}), Message(WhoAreYou{}), Message(Job{})}) {
    for (const Role role : {Role::kClient, Role::kWorker, Role::kAdmin}) EXPECT_FALSE(may(role, message));
  }
}

TEST(RolesTest, AClientGoesByTheNameOfItsKey) {
  Message own = Submit{1, "ann", {}}, unnamed = Submit{1, "", {}}, other = Submit{1, "bob", {}};
  EXPECT_TRUE(check_sender(kAnn, own));
  ASSERT_TRUE(check_sender(kAnn, unnamed));
  EXPECT_EQ(std::get<Submit>(unnamed).client, "ann");
  const auto refused = check_sender(kAnn, other);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text, AllOf(HasSubstr("expected 'ann'"), HasSubstr("found 'bob'")));
  EXPECT_FALSE(check_sender(kOps, other)) << "an admin's jobs are its own, too";
}

TEST(RolesTest, AClientSeesItsOwnJobsAndAnAdminAll) {
  EXPECT_EQ(only_client(kAnn), "ann");
  EXPECT_EQ(only_client(kOps), "");
}

TEST(RolesTest, AWorkersNameBeginsWithThatOfItsKey) {
  const auto passes = [](const std::string& name) {
    Message hello = Hello{name, "h", "m", 1, {}, {}}, result = ResultMessage{name, {}},
            part = Partial{name, {}};
    const bool good = check_sender(kHost, hello).has_value();
    EXPECT_EQ(check_sender(kHost, result).has_value(), good) << name;
    EXPECT_EQ(check_sender(kHost, part).has_value(), good) << name;
    return good;
  };
  for (const char* good : {"host7", "host7-1", "host7.a", "host7-"}) EXPECT_TRUE(passes(good)) << good;
  for (const char* bad : {"", "host", "host71", "host8", "host7 1", "ahost7", "HOST7"}) {
    EXPECT_FALSE(passes(bad)) << bad;
  }
}

TEST(RolesTest, ARefusalNamesTheRole) {
  Message hello = Hello{};
  const auto refused = check_sender(kAnn, hello);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text, HasSubstr("may send hello, found the key of 'ann' with the role client"));
}

TEST(RolesTest, AClientHearsItsOwnTopicAndAnAdminAll) {
  EXPECT_TRUE(may_subscribe(kAnn, "ann/"));
  EXPECT_FALSE(may_subscribe(kAnn, "ann/x")) << "nothing is published there, and each topic costs memory";
  for (const char* other : {"", "a", "ann", "anna/", "bob/", "/"}) {
    EXPECT_FALSE(may_subscribe(kAnn, other)) << other;
    EXPECT_TRUE(may_subscribe(kOps, other));
    EXPECT_FALSE(may_subscribe(kHost, other));
  }
  EXPECT_FALSE(may_subscribe(kHost, "host7/"));
}

}  // namespace
}  // namespace tandem::broker
