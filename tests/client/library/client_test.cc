// The client against a broker that answers, loses, repeats and dies, over real sockets.

#include "client/include/tandem/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <zmq.hpp>

#include "shared/protocol/frames.h"
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

TEST_F(ClientTest, WhoWantsAReportIsToldWhatWasHitAndWhenToTryAgain) {
  open([](ClientOptions& options) { options.on_full = OnFull::kReport; });
  broker_.full_answers = 1;
  broker_.retry_after_ms = 250;
  submit("now or never");
  serve_until_idle();
  ASSERT_THAT(outcomes_, SizeIs(1));
  EXPECT_EQ(outcomes_[0].result.error().text, "expected room, found none; try again after 250 ms");
  EXPECT_EQ(outcomes_[0].retry_after, milliseconds(250));
}

TEST_F(ClientTest, ACallerCanSeeThatItIsHeldBack) {
  open();
  broker_.full_answers = 1;
  broker_.retry_after_ms = 50;
  submit("room?");
  serve_until([&] { return client_->held_back().has_value(); });
  EXPECT_EQ(client_->held_back()->text, "expected room, found none");
  serve_until_idle();
  EXPECT_FALSE(client_->held_back());
}

TEST_F(ClientTest, UrgencyPriorityAndTimesTravelWithTheJob) {
  open([](ClientOptions& options) {
    options.urgency = Urgency::kInteractive;
    options.priority = 7;
  });
  SubmitOptions options;
  options.priority = uint8_t{9};
  options.delay = std::chrono::hours(1);
  options.ttl = std::chrono::hours(2);
  submit("a", options);
  submit("b");
  serve_until_idle();
  ASSERT_THAT(broker_.items, SizeIs(2));
  EXPECT_EQ(broker_.items[0].urgency, Urgency::kInteractive);
  EXPECT_EQ(broker_.items[0].priority, 9);
  EXPECT_GT(broker_.items[0].delay_ms, 3'500'000u);
  EXPECT_GT(broker_.items[0].ttl_ms, 7'100'000u);
  EXPECT_EQ(broker_.items[1].priority, 7);
  EXPECT_EQ(broker_.items[1].ttl_ms, 0u);

  options.priority = uint8_t{10};
  EXPECT_THAT(client_->submit(fake_request("x"), options).error().text,
              HasSubstr("priority: expected 0 to 9"));
  options = {};
  options.ttl = std::chrono::hours(24 * 400);
  EXPECT_THAT(client_->submit(fake_request("x"), options).error().text, HasSubstr("ttl: expected"));
  options = {};
  options.delay = milliseconds(-1);
  EXPECT_THAT(client_->submit(fake_request("x"), options).error().text, HasSubstr("delay: expected"));
}

// What the caller has need not be kept for it; what it never saw must be.
TEST_F(ClientTest, OutcomesAreAcknowledgedWithTheNextCall) {
  open();
  const JobId id = submit("a");
  serve_until_idle();
  serve_rounds(2);
  EXPECT_THAT(broker_.acknowledged, ElementsAre(id));
}

TEST_F(ClientTest, OutcomesAreAcknowledgedWhenTheClientIsClosed) {
  open();
  const JobId id = submit("a");
  while (client_->n_outstanding() > 0) {
    broker_.turn();
    client_->wait(milliseconds(5));
  }
  client_.reset();
  for (int round = 0; round < 4000 && broker_.acknowledged.empty(); ++round) {
    broker_.turn();
    std::this_thread::yield();
  }
  EXPECT_THAT(broker_.acknowledged, ElementsAre(id));
}

TEST_F(ClientTest, OrNotAtAllWhereTheCallerWantsToDoItItself) {
  open([](ClientOptions& options) { options.acknowledge = false; });
  const JobId id = submit("a");
  serve_until_idle();
  serve_rounds(5);
  EXPECT_THAT(broker_.acknowledged, SizeIs(0));
  client_->acknowledge({id});
  serve_rounds(2);
  EXPECT_THAT(broker_.acknowledged, ElementsAre(id));
}

TEST_F(ClientTest, ABrokerOfAnotherVersionIsAnErrorAndNoEndlessWait) {
  broker_.refuse_all = Refused{0, {ErrorCode::kUnsupported, "expected protocol version 3, found 2"}};
  open();
  submit("a");
  serve_until_idle();
  ASSERT_THAT(outcomes_, SizeIs(1));
  EXPECT_EQ(outcomes_[0].result.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(outcomes_[0].result.error().text, HasSubstr("speaks version 3"));
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
  const auto status = client_->status(std::chrono::seconds(20));
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

// The questions of whoever looks after a broker, over real sockets; the broker is on a thread of its own.
class QuestionsTest : public ClientTest {
 protected:
  void ask(const std::function<void(FakeBroker&)>& change, const std::function<void()>& story) {
    broker_.stop();
    std::atomic<bool> done = false;
    std::thread other([&] {
      FakeBroker broker(folder_.path());
      change(broker);
      broker.run(done);
    });
    open([](ClientOptions& options) { options.name = "ann"; });
    story();
    client_.reset();
    done = true;
    other.join();
  }
  const Duration patience_ = std::chrono::seconds(20);
};

TEST_F(QuestionsTest, WhatWasNotAcknowledgedIsCollectedByTheNextRun) {
  ask([](FakeBroker&) {},
      [&] {
        ClientOptions options = broker_.client_options();
        options.name = "ann";
        options.acknowledge = false;
        auto earlier = Client::open(options);
        ASSERT_TRUE(earlier);
        std::vector<JobId> ids;
        for (const char* text : {"1", "2", "3"}) ids.push_back(*(*earlier)->submit(fake_request(text)));
        while ((*earlier)->n_outstanding() > 0) (*earlier)->wait(milliseconds(5));
        earlier->reset();

        auto collected = client_->collect(2, patience_);
        ASSERT_TRUE(collected) << collected.error().text;
        ASSERT_THAT(*collected, SizeIs(2));
        EXPECT_EQ(collected->at(0).id, ids[0]);
        EXPECT_EQ(outcome_of(collected->at(0))->tasks.at(0).text->text, "echo: 1");
        client_->acknowledge({ids[0], ids[1]});
        collected = client_->collect(2, patience_);
        ASSERT_TRUE(collected);
        ASSERT_THAT(*collected, SizeIs(1));
        EXPECT_EQ(collected->at(0).id, ids[2]);
      });
}

TEST_F(QuestionsTest, ADeadJobIsListedReadPutBackAndForgotten) {
  ask(
      [](FakeBroker& broker) {
        broker.end_with =
            std::pair(JobState::kDead, Error{ErrorCode::kAttempts, "given up after 5 attempts"});
      },
      [&] {
        const JobId id = submit("poison");
        while (outcomes_.empty()) {
          for (ClientEvent& event : client_->wait(milliseconds(5)))
            outcomes_.push_back(std::get<Outcome>(event));
        }
        EXPECT_THAT(answers(), ElementsAre("attempts"));

        List dead;
        dead.dead = true;
        dead.jobs_max = 10;
        auto listed = client_->list(dead, patience_);
        ASSERT_TRUE(listed) << listed.error().text;
        ASSERT_THAT(*listed, SizeIs(1));
        EXPECT_EQ(listed->at(0).id, id);
        const auto inspected = client_->inspect(id, patience_);
        ASSERT_TRUE(inspected) << inspected.error().text;
        EXPECT_EQ(inspected->error.text, "given up after 5 attempts");
        EXPECT_EQ(decode_job_request(inspected->asked)->text, "poison");

        auto answer = client_->revive({id, job_id_from_key("nobody")}, patience_);
        ASSERT_TRUE(answer) << answer.error().text;
        ASSERT_THAT(*answer, SizeIs(2));
        EXPECT_EQ(answer->at(0).state, JobState::kReady);
        EXPECT_EQ(answer->at(1).error.code, ErrorCode::kNotFound);
        answer = client_->forget({id}, patience_);
        ASSERT_TRUE(answer) << answer.error().text;
        EXPECT_EQ(client_->inspect(id, patience_)->job.state, JobState::kUnknown);
      });
}

TEST_F(QuestionsTest, DrainingAWorkerIsAnsweredWithHowItStandsOrThatThereIsNone) {
  ask([](FakeBroker&) {},
      [&] {
        const auto status = client_->drain("null-1", true, patience_);
        ASSERT_TRUE(status) << status.error().text;
        EXPECT_TRUE(status->workers.at(0).is_draining);
        const auto nobody = client_->drain("nobody", true, patience_);
        ASSERT_FALSE(nobody);
        EXPECT_EQ(nobody.error().code, ErrorCode::kNotFound);
      });
}

TEST_F(QuestionsTest, ABrokerOfAnotherVersionIsSaidAtOnce) {
  ask(
      [](FakeBroker& broker) {
        broker.refuse_all = Refused{0, {ErrorCode::kUnsupported, "expected protocol version 3, found 2"}};
      },
      [&] {
        const auto status = client_->status(patience_);
        ASSERT_FALSE(status);
        EXPECT_EQ(status.error().code, ErrorCode::kUnsupported);
        EXPECT_THAT(status.error().text, HasSubstr("speaks version 3"));
      });
}

// It cannot read us, and we cannot read its answer but for the version in its head.
TEST_F(ClientTest, AnOldBrokerIsAnErrorAsWell) {
  broker_.stop();
  std::atomic<bool> done = false;
  std::thread old_broker([&] {
    zmq::context_t context;
    zmq::socket_t socket(context, zmq::socket_type::router);
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::rcvtimeo, 5);
    socket.bind(broker_.client_options().submit_endpoint);
    const Frames refusal =
        encode(Refused{0, {ErrorCode::kUnsupported, "expected protocol version 1, found 2"}}, 1);
    while (!done) {
      zmq::message_t peer, frame;
      if (!socket.recv(peer)) continue;
      for (bool more = true; more; more = frame.more()) (void)socket.recv(frame);
      socket.send(peer, zmq::send_flags::sndmore);
      socket.send(zmq::buffer(refusal.head), zmq::send_flags::sndmore);
      socket.send(zmq::buffer(refusal.envelope), zmq::send_flags::sndmore);
      socket.send(zmq::buffer(refusal.payload));
    }
  });
  open();
  const auto status = client_->status(std::chrono::seconds(20));
  submit("a");
  for (int round = 0; round < 4000 && outcomes_.empty(); ++round) {
    for (ClientEvent& event : client_->wait(milliseconds(5))) outcomes_.push_back(std::get<Outcome>(event));
  }
  done = true;
  old_broker.join();
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().text, HasSubstr("speaks version 1"));
  EXPECT_THAT(answers(), ElementsAre("unsupported"));
}

TEST_F(ClientTest, WithoutABrokerStatusSaysWhereItLooked) {
  broker_.stop();
  open();
  const auto status = client_->status(milliseconds(50));
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
