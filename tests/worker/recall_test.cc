// Jobs are lent, recalled, called off and lent again while they are begun and finished, and every message
// between the threads may be late: each lease comes to one end, and what was given back is not answered.

#include <gmock/gmock.h>

#include <deque>
#include <fstream>
#include <map>
#include <random>
#include <set>

#include "tests/support/temp_dir.h"
#include "tests/worker/support/tiny_model.h"
#include "worker/frontend/frontend.h"
#include "worker/session/broker_dialogue.h"

namespace tandem {
namespace {

using testing::TempDir;
using testing::TinyModel;
using LeaseKey = std::pair<JobId, uint32_t>;

constexpr char kReplyTask[] = R"(
version = 1
[prompt]
user = "{text}"
[answer]
kind = "text"
[decode]
tokens_max = 20
)";

// The real dialogue and the real frontend; the test is the broker, the inference and the time between them.
class Play {
 public:
  Play(const TempDir& tasks, uint64_t seed) : random_(seed) {
    auto folder = TaskFolder::open(tasks.path());
    EXPECT_TRUE(folder) << folder.error().text;
    ModelFacts facts{.model_fingerprint = "tiny",
                     .tokenizer = &tiny_.tokenizer,
                     .chat_template = tiny_.chat_template,
                     .end_token = *tiny_.tokenizer.special_id("<|im_end|>"),
                     .sequence_tokens_max = 2048};
    frontend_.emplace(
        Frontend::Parts{
            .worker = "ann", .model = std::move(facts), .tasks = std::move(*folder), .cache = nullptr},
        clock_, inbox_, inference_, session_);
    Hello hello;
    hello.worker = "ann";
    dialogue_.emplace(hello, std::chrono::seconds(1));
    dialogue_->hear(Welcome{60'000'000, 60'000'000}, clock_.now());
  }

  void act() {
    switch (random_() % 12) {
      case 0:
      case 1:
        if (attempts_.size() < 60) lend(make_job_id(), 1);
        break;
      case 2:
        if (const auto* job = any_job()) lend(job->first, job->second + 1);
        break;
      case 3:
        if (const auto* job = any_job(); job != nullptr && random_() % 4 == 0) {
          cancelled_.insert(job->first);
          hear(Cancel{0, {job->first}});
        }
        break;
      case 4:
      case 5: {
        Recall recall{{make_job_id()}};
        for (int i = 0; i < 5; ++i) {
          if (const auto* job = any_job()) recall.ids.push_back(job->first);
        }
        hear(recall);
        break;
      }
      case 6:
      case 7:
        frontend_hears(1 + random_() % 3);
        break;
      case 8:
        inference_begins();
        break;
      case 9:
        inference_finishes();
        break;
      default:
        session_hears(1 + random_() % 3);
    }
  }

  void come_to_rest() {
    for (int i = 0; i < 10'000; ++i) {
      frontend_hears(100);
      inference_begins();
      inference_finishes();
      session_hears(100);
      if (to_frontend_.empty() && to_session_.empty() && waiting_.empty() && begun_.empty()) return;
    }
    FAIL() << "work without an end";
  }

  void check() const {
    EXPECT_EQ(dialogue_->n_held(), 0u);
    for (const auto& [lease, n] : ends_) EXPECT_LE(n, 1) << "attempt " << lease.second;
    for (const auto& [id, attempt] : attempts_) {
      if (cancelled_.contains(id)) continue;
      const auto end = ends_.find({id, attempt});
      EXPECT_EQ(end == ends_.end() ? 0 : end->second, 1) << "a job that was lent ends";
    }
  }
  int n_returned() const { return n_returned_; }
  int n_answered() const { return n_answered_; }

 private:
  const std::pair<const JobId, uint32_t>* any_job() {
    if (attempts_.empty()) return nullptr;
    const auto* job = &*std::next(attempts_.begin(), static_cast<long>(random_() % attempts_.size()));
    return cancelled_.contains(job->first) ? nullptr : job;
  }

  void lend(const JobId& id, uint32_t attempt) {
    // Equal texts share their work; a streamed job tells parts.
    JobRequest request;
    request.text = "text " + std::to_string(random_() % 5);
    request.tasks.assign(1 + random_() % 2, "reply");
    if (request.tasks.size() == 2) request.tasks[1] = "again";
    request.stream = random_() % 2 == 0;
    attempts_[id] = attempt;
    hear(Job{60'000, {{id, attempt, encode(request)}}});
  }
  void hear(const Message& message) {
    auto heard = dialogue_->hear(message, clock_.now());
    for (LeasedJob& job : heard.jobs) to_frontend_.emplace_back(std::move(job));
    for (const JobId& id : heard.cancelled) to_frontend_.emplace_back(CancelledJob{id});
    for (const JobId& id : heard.recalled) to_frontend_.emplace_back(RecalledJob{id});
  }

  void frontend_hears(size_t n) {
    std::vector<ToFrontend> messages;
    for (; n > 0 && !to_frontend_.empty(); --n) {
      messages.push_back(std::move(to_frontend_.front()));
      to_frontend_.pop_front();
    }
    frontend_->turn(std::move(messages));
    for (FromFrontend& said : session_.take()) to_session_.push_back(std::move(said));
    for (ToInference& said : inference_.take()) {
      if (auto* request = std::get_if<SequenceRequest>(&said)) {
        waiting_.push_back(request->id);
      } else if (auto* cancel = std::get_if<CancelSequence>(&said)) {
        const size_t n_there = std::erase(waiting_, cancel->id) + std::erase(begun_, cancel->id);
        if (n_there > 0) finish(cancel->id, "cancelled");
      }
    }
  }
  void inference_begins() {
    if (waiting_.empty()) return;
    begun_.push_back(waiting_.front());
    waiting_.erase(waiting_.begin());
    to_frontend_.emplace_back(SequencesBegan{{begun_.back()}});
    if (random_() % 2 == 0) to_frontend_.emplace_back(SequenceDelta{begun_.back(), "he"});
  }
  void inference_finishes() {
    if (begun_.empty()) return;
    const auto one = begun_.begin() + static_cast<long>(random_() % begun_.size());
    finish(*one, "stop");
    begun_.erase(one);
  }
  void finish(SequenceId id, const std::string& reason) {
    SequenceDone done;
    done.id = id;
    done.text = reason == "stop" ? "hello" : "";
    done.finish_reason = reason;
    to_frontend_.emplace_back(std::move(done));
  }

  void session_hears(size_t n) {
    for (; n > 0 && !to_session_.empty(); --n) {
      FromFrontend said = std::move(to_session_.front());
      to_session_.pop_front();
      if (auto* returned = std::get_if<ReturnedJob>(&said)) {
        dialogue_->give_back(*returned);
      } else if (auto* result = std::get_if<ResultItem>(&said)) {
        if (!dialogue_->wants(*result)) continue;
        ++n_answered_;
        end({result->id, result->attempt});
        dialogue_->handed_over(*result);
      } else {
        const auto& part = std::get<PartialItem>(said);
        if (dialogue_->wants(part)) told_.insert({part.id, part.attempt});
      }
    }
    for (const Message& message : dialogue_->due(clock_.now())) {
      const auto* returned = std::get_if<Returned>(&message);
      if (returned == nullptr) continue;
      for (const HeldLease& lease : returned->held) {
        ++n_returned_;
        end({lease.id, lease.attempt});
        EXPECT_FALSE(told_.contains({lease.id, lease.attempt})) << "a part of its answer was told";
      }
    }
  }
  void end(const LeaseKey& lease) {
    ++ends_[lease];
    EXPECT_LE(lease.second, attempts_.at(lease.first)) << "an attempt that was never lent";
  }

  std::mt19937_64 random_;
  TinyModel& tiny_ = TinyModel::get();
  ManualClock clock_;
  Inbox<ToFrontend> inbox_;
  Inbox<ToInference> inference_;
  Inbox<FromFrontend> session_;
  std::optional<Frontend> frontend_;
  std::optional<BrokerDialogue> dialogue_;

  std::deque<ToFrontend> to_frontend_;
  std::deque<FromFrontend> to_session_;
  std::vector<SequenceId> waiting_, begun_;

  std::map<JobId, uint32_t> attempts_;  // the newest of each job
  std::set<JobId> cancelled_;
  std::map<LeaseKey, int> ends_;
  std::set<LeaseKey> told_;
  int n_returned_ = 0, n_answered_ = 0;
};

TEST(RecallTest, EveryLeaseIsAnsweredOrGivenBackHoweverLateTheMessagesAre) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  const TempDir tasks;
  std::ofstream(tasks / "reply.toml") << kReplyTask;
  std::ofstream(tasks / "again.toml") << kReplyTask << "temperature = 0.5\n";
  int n_returned = 0, n_answered = 0;
  for (uint64_t round = 0; round < 60 && !::testing::Test::HasFailure(); ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    Play play(tasks, seed + round);
    for (int i = 0; i < 500; ++i) play.act();
    play.come_to_rest();
    play.check();
    n_returned += play.n_returned();
    n_answered += play.n_answered();
  }
  EXPECT_GT(n_returned, 100) << "the play has to show it";
  EXPECT_GT(n_answered, 100);
}

}  // namespace
}  // namespace tandem
