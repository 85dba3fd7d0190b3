// The client against a broker that answers, loses, repeats and dies, over real sockets.

#include "client/include/tandem/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/client/fake_broker.h"
#include "tests/support/temp_dir.h"

namespace tandem::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class ClientTest : public ::testing::Test {
 protected:
  void open(const std::function<void(ClientOptions&)>& change = {}) {
    ClientOptions options = broker_.client_options();
    if (change) change(options);
    auto client = Client::open(options);
    ASSERT_TRUE(client) << client.error().text;
    client_ = std::move(*client);
  }

  // Both sides in turn until `n` outcomes came, or nothing more is to be hoped for.
  void serve_until(const std::function<bool()>& done) {
    for (int round = 0; round < 4000 && !done(); ++round) {
      broker_.turn();
      for (ClientEvent& event : client_->wait(milliseconds(5))) {
        if (auto* outcome = std::get_if<Outcome>(&event)) {
          outcomes_.push_back(std::move(*outcome));
        } else {
          parts_.push_back(std::get<PartEvent>(event));
        }
      }
    }
    EXPECT_TRUE(done()) << outcomes_.size() << " outcomes, " << client_->n_outstanding() << " outstanding";
  }
  void serve_until_idle() {
    serve_until([&] { return client_->n_outstanding() == 0; });
  }
  // A while in which nothing more should come.
  void serve_rounds(int n) {
    int round = 0;
    serve_until([&] { return ++round > n; });
  }

  JobId submit(const std::string& text, const SubmitOptions& options = {}) {
    const auto id = client_->submit(fake_request(text), options);
    EXPECT_TRUE(id) << id.error().text;
    return id.value_or(JobId{});
  }
  std::vector<std::string> answers() const {
    std::vector<std::string> texts;
    for (const Outcome& outcome : outcomes_) {
      texts.push_back(outcome.result ? outcome.result->tasks.at(0).text->text
                                     : std::string(to_string(outcome.result.error().code)));
    }
    return texts;
  }

  TempDir folder_;
  FakeBroker broker_{folder_.path()};
  std::unique_ptr<Client> client_;
  std::vector<Outcome> outcomes_;
  std::vector<PartEvent> parts_;
};

TEST_F(ClientTest, AJobComesBackWithItsAnswer) {
  open();
  const JobId id = submit("hello");
  serve_until_idle();
  ASSERT_THAT(outcomes_, SizeIs(1));
  EXPECT_EQ(outcomes_[0].id, id);
  EXPECT_THAT(answers(), ElementsAre("echo: hello"));
}

TEST_F(ClientTest, ManyJobsTravelTogetherAndEachHasOneOutcome) {
  open();
  for (int i = 0; i < 1000; ++i) submit("text " + std::to_string(i));
  serve_until_idle();
  EXPECT_THAT(outcomes_, SizeIs(1000));
  EXPECT_LT(broker_.n_submit_messages, 50u) << "many items in a message";
}

TEST_F(ClientTest, ASubmitWithoutAnAnswerIsRepeatedUnderTheSameId) {
  open();
  broker_.ignored_submits = 2;
  const JobId id = submit("lost twice");
  serve_until_idle();
  EXPECT_THAT(answers(), ElementsAre("echo: lost twice"));
  EXPECT_THAT(broker_.n_submitted, ElementsAre(std::pair(id, 3u)));
}

TEST_F(ClientTest, AResultThatWasMissedIsFetched) {
  open();
  broker_.lose_results = true;
  submit("a");
  submit("b");
  serve_until_idle();
  EXPECT_THAT(outcomes_, SizeIs(2));
  EXPECT_GE(broker_.n_fetches, 1u);
}

TEST_F(ClientTest, AResultThatComesTwiceIsHeardOnce) {
  open();
  broker_.publish_twice = true;
  submit("once");
  serve_until_idle();
  serve_rounds(20);
  EXPECT_THAT(answers(), ElementsAre("echo: once"));
}

TEST_F(ClientTest, ABrokerThatIsAwayIsWaitedFor) {
  broker_.stop();
  open();
  submit("patience");
  serve_rounds(20);
  EXPECT_FALSE(client_->broker_seen());
  EXPECT_THAT(outcomes_, SizeIs(0));

  broker_.start();
  serve_until_idle();
  EXPECT_TRUE(client_->broker_seen());
  EXPECT_THAT(answers(), ElementsAre("echo: patience"));
}

// The broker dies between accepting and finishing; its journal has the jobs, its successor the results.
TEST_F(ClientTest, AcceptedJobsSurviveARestartOfTheBroker) {
  open();
  broker_.hold = true;
  const JobId id = submit("durable");
  serve_until([&] { return client_->accepted(id); });
  broker_.stop();
  serve_rounds(30);
  broker_.lose_results = true;  // finished while nobody listened
  broker_.finish_held();
  broker_.start();
  serve_until_idle();
  EXPECT_THAT(answers(), ElementsAre("echo: durable"));
}

TEST_F(ClientTest, ABrokerThatForgotAnAcceptedJobGetsItAgain) {
  open();
  broker_.hold = true;
  broker_.forget = true;
  const JobId id = submit("again");
  serve_until([&] { return broker_.n_submitted[id] >= 2; });
  broker_.forget = false;
  broker_.finish_held();
  serve_until_idle();
  EXPECT_THAT(answers(), ElementsAre("echo: again"));
}

TEST_F(ClientTest, AFullBrokerIsAskedAgainUntilThereIsRoom) {
  open();
  broker_.full_answers = 3;
  const JobId id = submit("room?");
  serve_until_idle();
  EXPECT_THAT(answers(), ElementsAre("echo: room?"));
  EXPECT_EQ(broker_.n_submitted[id], 4u);
}

TEST_F(ClientTest, PatienceWithAFullBrokerEndsInItsError) {
  open([](ClientOptions& options) { options.full_patience = milliseconds(200); });
  broker_.full_answers = 1'000'000;
  submit("no room");
  serve_until_idle();
  EXPECT_THAT(answers(), ElementsAre("full"));
}

TEST_F(ClientTest, ARefusedItemIsAnOutcomeWithTheBrokersError) {
  open();
  broker_.refuse_with = Error{ErrorCode::kUnsupported, "expected something else"};
  submit("refused");
  serve_until_idle();
  EXPECT_THAT(answers(), ElementsAre("unsupported"));
}

TEST_F(ClientTest, AnIdThatIsKnownAlreadyGetsTheFirstResult) {
  open();
  SubmitOptions options;
  options.id = job_id_from_key("row 1");
  submit("first", options);
  serve_until_idle();
  submit("second", options);  // the id says that it is the same job
  serve_until_idle();
  EXPECT_THAT(answers(), ElementsAre("echo: first", "echo: first"));
}

TEST_F(ClientTest, PartsComeBeforeTheOutcome) {
  open([](ClientOptions& options) { options.name = "ann"; });
  broker_.hold = true;
  const JobId id = submit("streamed");
  serve_until([&] { return client_->accepted(id); });
  const auto part = [&](uint32_t attempt, const std::string& delta) {
    Partial partial;
    partial.worker = "fake";
    JobPart piece;
    piece.delta = delta;
    partial.items.push_back({id, attempt, encode(piece)});
    broker_.publish("ann", partial);
  };
  // The subscription takes a moment to arrive; parts before that are lost, as they may be.
  serve_until([&] {
    if (parts_.empty()) part(2, "Hel");
    return !parts_.empty();
  });
  const size_t n_before = parts_.size();
  part(1, "stale");  // an attempt that was given up
  part(2, "lo");
  serve_until([&] { return parts_.back().part.delta == "lo"; });
  broker_.finish_held();
  serve_until_idle();
  EXPECT_EQ(parts_.back().attempt, 2u);
  for (size_t i = n_before; i < parts_.size(); ++i) EXPECT_NE(parts_[i].part.delta, "stale");
  EXPECT_THAT(answers(), ElementsAre("echo: streamed"));
}

TEST_F(ClientTest, ResultsOfOtherClientsAreNotHeard) {
  open([](ClientOptions& options) { options.name = "ann"; });
  broker_.hold = true;
  const JobId id = submit("mine");
  serve_until([&] { return client_->accepted(id); });
  ResultMessage message;
  message.items.push_back({id, 1, {ErrorCode::kInternal, "for bob"}, false, ""});
  broker_.publish("bob", message);
  broker_.publish("anna", message);  // a name that only begins like ours
  serve_rounds(10);
  EXPECT_THAT(outcomes_, SizeIs(0));
}

TEST_F(ClientTest, ACancelledJobEndsWithThatError) {
  open();
  broker_.hold = true;
  const JobId id = submit("never mind");
  serve_until([&] { return client_->accepted(id); });
  serve_rounds(20);  // the subscription stands
  ASSERT_TRUE(client_->cancel({id}));
  serve_until_idle();
  EXPECT_EQ(broker_.n_cancelled, 1u);
  EXPECT_THAT(answers(), ElementsAre("cancelled"));
}

TEST_F(ClientTest, AJobThatWasNeverSentIsCancelledOnTheSpot) {
  broker_.stop();
  open();
  const JobId id = submit("unsent");
  ASSERT_TRUE(client_->cancel({id}));
  serve_until([&] { return !outcomes_.empty(); });
  EXPECT_THAT(answers(), ElementsAre("cancelled"));
}

TEST_F(ClientTest, OutstandingJobsAreBounded) {
  broker_.stop();
  open([](ClientOptions& options) { options.outstanding_max = 2; });
  submit("1");
  submit("2");
  const auto third = client_->submit(fake_request("3"));
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, ErrorCode::kFull);
}

TEST_F(ClientTest, ABadRequestIsRefusedBeforeItIsSent) {
  open();
  JobRequest request = fake_request("x");
  request.tasks.clear();
  auto id = client_->submit(request);
  ASSERT_FALSE(id);
  EXPECT_THAT(id.error().text, HasSubstr("at least one task"));

  id = client_->submit(fake_request("\xC3\x28"));
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().code, ErrorCode::kInvalid);

  id = client_->submit(fake_request(std::string(10u << 20, 'x')));
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().code, ErrorCode::kTooLong);
  EXPECT_EQ(client_->n_outstanding(), 0u);
}

TEST_F(ClientTest, StatusAndFetchAreAnsweredWhileJobsAreOutstanding) {
  broker_.stop();
  std::atomic<bool> done = false;
  std::thread other([&] {
    FakeBroker broker(folder_.path());
    broker.hold = true;
    broker.run(done);
  });
  open();
  const JobId id = submit("waiting");
  serve_until([&] { return client_->accepted(id); });
  const auto status = client_->status(0, std::chrono::seconds(20));
  const auto fetched = client_->fetch({id}, std::chrono::seconds(20));
  done = true;
  other.join();
  ASSERT_TRUE(status) << status.error().text;
  EXPECT_EQ(status->accepted_total, 1u);
  ASSERT_TRUE(fetched) << fetched.error().text;
  ASSERT_THAT(*fetched, SizeIs(1));
  EXPECT_EQ(fetched->at(0).state, JobState::kReady);
  EXPECT_EQ(client_->n_outstanding(), 1u);
}

TEST_F(ClientTest, WithoutABrokerStatusSaysWhereItLooked) {
  broker_.stop();
  open();
  const auto status = client_->status(0, milliseconds(50));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kTimeout);
  EXPECT_THAT(status.error().text, HasSubstr(broker_.client_options().submit_endpoint));
}

TEST(ClientOpen, RefusesAnEndpointOrNameThatIsNone) {
  ClientOptions options;
  options.submit_endpoint = "carrier pigeon";
  options.results_endpoint = "ipc://nowhere/x";
  auto client = Client::open(options);
  ASSERT_FALSE(client);
  EXPECT_THAT(client.error().text, HasSubstr("carrier pigeon"));

  options.submit_endpoint = "ipc://nowhere/y";
  options.name = "a/b";
  client = Client::open(options);
  ASSERT_FALSE(client);
  EXPECT_THAT(client.error().text, HasSubstr("'/'"));
}

}  // namespace
}  // namespace tandem::testing
