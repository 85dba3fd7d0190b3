// A broker for tests of the client: real sockets, no journal, no workers. It answers every job itself, and
// does wrong what it is told to do wrong.

#pragma once

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/include/tandem/client.h"
#include "shared/net/sockets.h"

namespace tandem::testing {

class FakeBroker {
 public:
  // Its sockets are "submit" and "results-out" in `folder`, as those of the real one.
  // A worker "null-1" on "here" stands in its status, with nothing to do.
  explicit FakeBroker(std::filesystem::path folder);

  void start();  // what was accepted is still there
  void stop();

  // Hears and answers everything that is there. Call it as often as the client is served.
  void turn();
  // Turns until `done`, on a thread that also made this broker.
  void run(const std::atomic<bool>& done);

  // What it does wrong, until it is told otherwise.
  size_t ignored_submits = 0;   // so many messages get no answer, as if they were lost
  size_t full_answers = 0;      // so many are refused as full
  uint32_t retry_after_ms = 0;  // of those
  bool lose_results = false;    // results are kept for Fetch and never published
  bool publish_twice = false;
  bool forget = false;               // every Fetch is answered "unknown"
  bool hold = false;                 // jobs stay ready
  std::optional<Error> refuse_with;  // every item gets this
  // Every job ends without a result, in this state.
  std::optional<std::pair<JobState, Error>> end_with;
  std::optional<Refused> refuse_all;  // every message is answered with this
  StatusReply status;                 // as far as the fake does not count itself

  // What it has seen.
  std::map<JobId, size_t> n_submitted;
  size_t n_submit_messages = 0;
  size_t n_fetches = 0;
  size_t n_cancelled = 0;
  std::vector<JobId> acknowledged;  // in the order in which the broker heard of it
  std::vector<SubmitItem> items;    // of all Submits

  void finish_held();  // publishes what hold kept back
  void publish(const std::string& client, const Message& message);

  ClientOptions client_options() const;

 private:
  struct Job {
    std::string client;
    SubmitItem item;
    JobState state = JobState::kReady;
    Bytes result;
    Error error;  // of a finished job without a result
    bool acknowledged = false;
  };
  void on(const std::string& peer, const Submit& submit);
  void on(const std::string& peer, const Fetch& fetch);
  void on(const std::string& peer, const Collect& collect);
  void on(const std::string& peer, const Acknowledge& acknowledge);
  void on(const std::string& peer, const Cancel& cancel);
  void on(const std::string& peer, const Revive& revive);
  void on(const std::string& peer, const Forget& forget);
  void on(const std::string& peer, const Status& status);
  void on(const std::string& peer, const List& list);
  void on(const std::string& peer, const Inspect& inspect);
  void on(const std::string& peer, const Drain& drain);
  void answer(const JobId& id, Job& job);
  void finish(const JobId& id, Job& job, JobState state, Error error);
  JobStatus status_of(const JobId& id, const Job& job, uint64_t place) const;
  FetchedItem fetched(const JobId& id) const;
  StatusReply reply(uint64_t request) const;

  std::filesystem::path folder_;
  NetContext context_;
  std::optional<RouterSocket> submit_;
  std::optional<PublisherSocket> results_;
  std::map<JobId, Job> jobs_;
  std::vector<JobId> finished_;  // in the order in which they finished
  std::vector<JobId> held_;
};

// What the fake answers to a request: each task says its own name and the text.
JobResult fake_answer(const JobRequest& request);
JobRequest fake_request(const std::string& text);

}  // namespace tandem::testing
