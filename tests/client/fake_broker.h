// A broker for tests of the client: real sockets, no journal, no workers. It answers every job itself, and
// does wrong what it is told to do wrong.

#pragma once

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "client/include/tandem/client.h"
#include "shared/net/sockets.h"

namespace tandem::testing {

class FakeBroker {
 public:
  // Its sockets are "submit" and "results-out" in `folder`, as those of the real one.
  explicit FakeBroker(std::filesystem::path folder) : folder_(std::move(folder)) { start(); }

  void start();  // what was accepted is still there
  void stop();

  // Hears and answers everything that is there. Call it as often as the client is served.
  void turn();
  // Turns until `done`, on a thread that also made this broker.
  void run(const std::atomic<bool>& done);

  // What it does wrong, until it is told otherwise.
  size_t ignored_submits = 0;  // so many messages get no answer, as if they were lost
  size_t full_answers = 0;     // so many are refused as full
  bool lose_results = false;   // results are kept for Fetch and never published
  bool publish_twice = false;
  bool forget = false;               // every Fetch is answered "unknown"
  bool hold = false;                 // jobs stay ready
  std::optional<Error> refuse_with;  // every item gets this

  // What it has seen.
  std::map<JobId, size_t> n_submitted;
  size_t n_submit_messages = 0;
  size_t n_fetches = 0;
  size_t n_cancelled = 0;

  void finish_held();  // publishes what hold kept back
  void publish(const std::string& client, const Message& message);

  ClientOptions client_options() const;

 private:
  struct Job {
    std::string client;
    std::optional<std::string> result;
    Error error;  // ended without a result, where it has a text
  };
  void on(const std::string& peer, const Submit& submit);
  void on(const std::string& peer, const Fetch& fetch);
  void on(const std::string& peer, const Cancel& cancel);
  void on(const std::string& peer, const Status& status);
  void answer(const JobId& id, Job& job, const std::string& payload);

  std::filesystem::path folder_;
  NetContext context_;
  std::optional<RouterSocket> submit_;
  std::optional<PublisherSocket> results_;
  std::map<JobId, Job> jobs_;
  std::map<JobId, std::string> held_;
};

// What the fake answers to a request: each task says its own name and the text.
JobResult fake_answer(const JobRequest& request);
JobRequest fake_request(const std::string& text);

}  // namespace tandem::testing
