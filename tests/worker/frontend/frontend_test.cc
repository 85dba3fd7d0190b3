#include "worker/frontend/frontend.h"

#include <gmock/gmock.h>

#include <fstream>

#include "tests/support/temp_dir.h"
#include "tests/worker/support/tiny_model.h"
#include "worker/scheduler/inference_loop.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::TempDir;
using testing::TinyModel;

constexpr char kLabelTask[] = R"(
version = 3
description = "for tests"
[prompt]
user = "{text}"
[answer]
kind = "label"
method = "score"
labels = [
  { id = "positive", say = "Positive", display = "up" },
  { id = "negative", say = "Negative", display = "down" },
]
)";
constexpr char kGuessTask[] = R"(
version = 1
description = "a label that is generated"
[prompt]
user = "{text}"
[answer]
kind = "label"
method = "generate"
labels = [
  { id = "positive", say = "Positive", display = "up" },
  { id = "negative", say = "Negative", display = "down" },
]
[decode]
tokens_max = 10
)";
constexpr char kReplyTask[] = R"(
version = 1
description = "for tests"
[prompt]
user = "{text}"
[answer]
kind = "text"
[decode]
tokens_max = 20
)";

constexpr char kWordTask[] = R"(
version = 1
[prompt]
user = "{text}"
[answer]
kind = "regex"
pattern = " ?[a-z]+,"
[decode]
tokens_max = 20
speculate = true
)";

// The test plays the session, the inference thread and the clock.
class FrontendTest : public ::testing::Test {
 protected:
  FrontendTest() {
    write_task("sentiment", kLabelTask);
    write_task("guess", kGuessTask);
    write_task("reply", kReplyTask);
    write_task("word", kWordTask);
    open();
  }

  void open() {
    frontend_.reset();
    auto tasks = TaskFolder::open(tasks_.path());
    ASSERT_TRUE(tasks) << tasks.error().text;
    auto cache = AnswerCache::open({.folder = cache_ / "answers"}, clock_);
    ASSERT_TRUE(cache) << cache.error().text;
    ModelFacts facts{.model_fingerprint = "tiny",
                     .tokenizer = &tiny_.tokenizer,
                     .chat_template = tiny_.chat_template,
                     .end_token = *tiny_.tokenizer.special_id("<|im_end|>"),
                     .sequence_tokens_max = 2048};
    frontend_ = std::make_unique<Frontend>(Frontend::Parts{.worker = "ann",
                                                           .model = std::move(facts),
                                                           .tasks = std::move(*tasks),
                                                           .cache = std::move(*cache)},
                                           clock_, inbox_, inference_, session_);
  }

  void write_task(const std::string& name, const std::string& toml) {
    std::ofstream(tasks_ / (name + ".toml")) << toml;
  }

  static JobRequest ask(const std::string& text, std::vector<std::string> tasks) {
    JobRequest request;
    request.text = text;
    request.tasks = std::move(tasks);
    return request;
  }

  static LeasedJob lent(const JobRequest& request) {
    LeasedJob lent;
    lent.id = make_job_id();
    lent.payload = encode(request);
    return lent;
  }
  JobId job(const JobRequest& request, uint32_t attempt = 1) {
    return job(make_job_id(), encode(request), attempt);
  }
  JobId job(const JobId& id, std::string payload, uint32_t attempt = 1) {
    LeasedJob lent;
    lent.id = id;
    lent.attempt = attempt;
    lent.payload = std::move(payload);
    lent.arrived = clock_.now();
    tell(std::move(lent));
    return id;
  }

  // The frontend hears it; then what it said is sorted out.
  void tell(ToFrontend message) {
    std::vector<ToFrontend> messages;
    messages.push_back(std::move(message));
    frontend_->turn(std::move(messages));
    for (ToInference& said : inference_.take()) {
      if (auto* request = std::get_if<SequenceRequest>(&said)) {
        asked_.push_back(std::move(*request));
      } else if (auto* prefix = std::get_if<PrimePrefix>(&said)) {
        primed_.push_back(std::move(prefix->tokens));
      } else if (auto* hurry = std::get_if<HurrySequence>(&said)) {
        hurried_.push_back(hurry->id);
      } else {
        cancelled_.push_back(std::get<CancelSequence>(said).id);
      }
    }
    for (FromFrontend& said : session_.take()) {
      if (auto* part = std::get_if<PartialItem>(&said)) {
        parts_.push_back(*decode_job_part(part->payload));
        story_.push_back(parts_.back().result ? parts_.back().result->task : "..." + parts_.back().delta);
      } else if (auto* returned = std::get_if<ReturnedJob>(&said)) {
        returned_.push_back({returned->id, returned->attempt});
        story_.push_back("given back");
      } else {
        results_.push_back(std::get<ResultItem>(said));
        story_.push_back("done");
      }
    }
  }

  // What the inference thread would say.
  void finish_text(const SequenceRequest& request, const std::string& text,
                   const std::string& reason = "stop") {
    SequenceDone done;
    done.id = request.id;
    done.text = text;
    done.finish_reason = reason;
    done.prompt_tokens = static_cast<uint32_t>(request.prompt.size());
    done.completion_tokens = 4;
    done.batch_size = 2;
    tell(done);
  }
  void finish_score(const SequenceRequest& request, float first, float others) {
    SequenceDone done;
    done.id = request.id;
    for (const engine::Tokens& wanted : std::get<ScoreWork>(request.work).wanted) {
      done.scores.emplace_back(wanted.size(), others);
      done.scores.back()[0] = first;
    }
    done.batch_size = 1;
    tell(done);
  }

  JobResult result() {
    EXPECT_THAT(results_, ::testing::Not(IsEmpty()));
    if (results_.empty()) return {};
    EXPECT_EQ(results_.back().error.text, "");
    auto decoded = decode_job_result(results_.back().payload);
    EXPECT_TRUE(decoded);
    return decoded ? *decoded : JobResult{};
  }

  TinyModel& tiny_ = TinyModel::get();
  TempDir tasks_, cache_;
  ManualClock clock_;
  Inbox<ToFrontend> inbox_;
  Inbox<ToInference> inference_;
  Inbox<FromFrontend> session_;
  std::unique_ptr<Frontend> frontend_;

  std::vector<SequenceRequest> asked_;
  std::vector<SequenceId> cancelled_, hurried_;
  std::vector<engine::Tokens> primed_;
  std::vector<JobPart> parts_;
  std::vector<ResultItem> results_;
  std::vector<HeldLease> returned_;
  std::vector<std::string>
      story_;  // "sentiment": its result; "...text": a delta; "done": the job's result; "given back"
};

TEST_F(FrontendTest, TurnsAJobIntoWorkAndTheAnswerIntoAResult) {
  const JobId id = job(ask("a fine day", {"reply"}), 3);
  ASSERT_THAT(asked_, SizeIs(1));
  const auto& work = std::get<DecodeWork>(asked_[0].work);
  EXPECT_EQ(work.tokens_max, 20u);
  EXPECT_FALSE(work.stream);
  EXPECT_THAT(tiny_.tokenizer.decode(asked_[0].prompt), HasSubstr("a fine day"));

  clock_.advance(std::chrono::milliseconds(7));
  finish_text(asked_[0], " hello\n");
  ASSERT_THAT(results_, SizeIs(1));
  EXPECT_EQ(results_[0].id, id);
  EXPECT_EQ(results_[0].attempt, 3u);
  const TaskResult task = result().tasks.at(0);
  EXPECT_EQ(task.task, "reply");
  EXPECT_EQ(task.text, (TextAnswer{"hello", "stop"}));
  EXPECT_EQ(task.source, AnswerSource::kModel);
  EXPECT_EQ(task.worker, "ann");
  EXPECT_EQ(task.model_fingerprint, "tiny");
  EXPECT_EQ(task.task_fingerprint.size(), 32u);
  EXPECT_EQ(task.batch_size, 2u);
  EXPECT_EQ(task.usage.prompt_tokens, asked_[0].prompt.size());
  EXPECT_EQ(task.timings.total_us, 7000u);
}

// MISSION A8: two stages, one job.
TEST_F(FrontendTest, PublishesTheLabelWhileTheReplyIsStillBeingWritten) {
  job(ask("a fine day", {"sentiment", "reply"}));
  ASSERT_THAT(asked_, SizeIs(2)) << "both begin at once";
  finish_score(asked_[0], 5, 1);
  EXPECT_THAT(story_, ElementsAre("sentiment"));
  ASSERT_TRUE(parts_[0].result && parts_[0].result->label);
  EXPECT_GT(parts_[0].result->label->probability, 0.9);

  finish_text(asked_[1], "hello");
  EXPECT_THAT(story_, ElementsAre("sentiment", "done"));
  const JobResult all = result();
  ASSERT_THAT(all.tasks, SizeIs(2));
  EXPECT_EQ(all.tasks[0], *parts_[0].result);
  EXPECT_EQ(all.tasks[0].task_version, 3u);
  EXPECT_EQ(all.tasks[1].text->text, "hello");
}

TEST_F(FrontendTest, KeepsTheOrderOfTheTasksWhateverFinishesFirst) {
  job(ask("a fine day", {"reply", "sentiment"}));
  finish_score(asked_[1], 1, 5);
  finish_text(asked_[0], "hello");
  EXPECT_EQ(result().tasks.at(0).task, "reply");
  EXPECT_EQ(result().tasks.at(1).task, "sentiment");
}

TEST_F(FrontendTest, ScoresTheLabelsOfTheTask) {
  job(ask("a fine day", {"sentiment"}));
  const auto& work = std::get<ScoreWork>(asked_.at(0).work);
  ASSERT_EQ(work.paths.size(), work.wanted.size());
  EXPECT_THAT(work.paths[0], IsEmpty()) << "the labels part right after the prompt";
  EXPECT_GE(work.wanted[0].size(), 2u);
  finish_score(asked_[0], 3, 3);
  const LabelAnswer label = *result().tasks.at(0).label;
  EXPECT_EQ(label.label, "positive") << "of equals the first in the file";
  EXPECT_NEAR(label.margin, 0, 1e-6);
  EXPECT_THAT(label.scores, SizeIs(2));
}

TEST_F(FrontendTest, FindsALabelInGeneratedText) {
  job(ask("a fine day", {"guess"}));
  EXPECT_EQ(std::get<DecodeWork>(asked_.at(0).work).tokens_max, 10u);
  finish_text(asked_[0], "Negative.");
  EXPECT_EQ(result().tasks.at(0).label->label, "negative");
}

TEST_F(FrontendTest, HoldsAnAnswerToItsShape) {
  job(ask("a fine day", {"word"}));
  const auto first = std::get<DecodeWork>(asked_.at(0).work);
  ASSERT_TRUE(first.constraint);
  EXPECT_TRUE(first.speculate);
  finish_text(asked_[0], " sunny,");
  EXPECT_EQ(result().tasks.at(0).text, (TextAnswer{" sunny,", "stop"}))
      << "white space is a part of the shape";

  job(ask("another day", {"word", "reply"}));
  EXPECT_EQ(std::get<DecodeWork>(asked_.at(1).work).constraint, first.constraint) << "made once for a task";
  EXPECT_FALSE(std::get<DecodeWork>(asked_.at(2).work).constraint);
}

TEST_F(FrontendTest, AnAnswerThatIsCutOffWithinItsShapeIsAnError) {
  JobRequest request = ask("a fine day", {"word"});
  request.stream = true;
  job(request);
  tell(SequenceDelta{asked_.at(0).id, " sun"});
  EXPECT_THAT(story_, ElementsAre("... sun"));
  finish_text(asked_[0], " sunn", "length");
  const TaskResult task = result().tasks.at(0);
  EXPECT_FALSE(task.text);
  ASSERT_TRUE(task.error);
  EXPECT_EQ(task.error->code, ErrorCode::kTooLong);
  EXPECT_THAT(task.error->text,
              HasSubstr("within 20 tokens (tokens_max), found its beginning, cut off (length)"));
}

TEST_F(FrontendTest, StreamsOnlyWhatWillBeInTheAnswer) {
  JobRequest request = ask("a fine day", {"reply", "sentiment"});
  request.stream = true;
  job(request);
  EXPECT_TRUE(std::get<DecodeWork>(asked_[0].work).stream);
  tell(SequenceDelta{asked_[0].id, "\n hel"});
  tell(SequenceDelta{asked_[0].id, "lo "});
  tell(SequenceDelta{asked_[0].id, "you  "});
  finish_score(asked_[1], 5, 1);
  finish_text(asked_[0], "\n hello you  ");
  EXPECT_THAT(story_, ElementsAre("...hel", "...lo", "... you", "sentiment", "done"));
  EXPECT_EQ(result().tasks.at(0).text->text, "hello you");
}

TEST_F(FrontendTest, AnswersTheSecondTimeFromTheCache) {
  job(ask("a fine day", {"sentiment", "reply"}));
  finish_score(asked_[0], 5, 1);
  finish_text(asked_[1], "hello");
  const JobResult first = result();

  open();  // another process would find it, too
  clock_.advance(std::chrono::milliseconds(5));
  story_.clear();
  job(ask("a fine day", {"sentiment", "reply"}));
  EXPECT_THAT(asked_, SizeIs(2)) << "the model was not asked again";
  EXPECT_THAT(story_, ElementsAre("sentiment", "done"));
  const JobResult second = result();
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(second.tasks[i].source, AnswerSource::kExact);
    EXPECT_EQ(second.tasks[i].label, first.tasks[i].label);
    EXPECT_EQ(second.tasks[i].text, first.tasks[i].text);
    EXPECT_EQ(second.tasks[i].usage.computed_tokens, 0u);
    EXPECT_EQ(second.tasks[i].worker, "ann");
    EXPECT_EQ(second.tasks[i].task_version, first.tasks[i].task_version);
  }
}

// The second time it is recognised before it is read; nothing else about it is different.
TEST_F(FrontendTest, ARepeatedRequestIsAnsweredAsTheFirstOneThatWasInTheCache) {
  const JobRequest request = ask("a fine day", {"sentiment", "reply"});
  job(request);
  finish_score(asked_[0], 5, 1);
  finish_text(asked_[1], "hello");
  job(request);
  JobResult once = result();
  const JobId id = job(request, 7);
  EXPECT_EQ(results_.back().id, id);
  EXPECT_EQ(results_.back().attempt, 7u);
  EXPECT_EQ(result(), once);
  EXPECT_THAT(asked_, SizeIs(2));
  clock_.advance(std::chrono::milliseconds(3));
  LeasedJob late = lent(request);
  late.arrived = clock_.now() - std::chrono::milliseconds(3);
  tell(late);
  EXPECT_EQ(result().tasks[1].timings.total_us, 3'000u);
}

TEST_F(FrontendTest, ARepeatedRequestIsReadAgainWhenItsTaskIsAnother) {
  const JobRequest request = ask("a fine day", {"reply"});
  job(request);
  finish_text(asked_[0], "hello");
  job(request);
  EXPECT_THAT(asked_, SizeIs(1));

  write_task("reply", kGuessTask);
  clock_.advance(std::chrono::seconds(2));
  job(request);
  EXPECT_THAT(asked_, SizeIs(2)) << "another task";
}

TEST_F(FrontendTest, StreamsACachedAnswerInOnePiece) {
  job(ask("a fine day", {"reply"}));
  finish_text(asked_[0], "hello");
  story_.clear();
  JobRequest request = ask("a fine day", {"reply"});
  request.stream = true;
  job(request);
  EXPECT_THAT(story_, ElementsAre("...hello", "done"));
}

TEST_F(FrontendTest, AsksTheModelWhenTheCallerDoesNotAcceptCachedAnswers) {
  job(ask("a fine day", {"reply"}));
  finish_text(asked_[0], "hello");
  JobRequest request = ask("a fine day", {"reply"});
  request.accept = AcceptSource::kModel;
  job(request);
  EXPECT_THAT(asked_, SizeIs(2));
}

TEST_F(FrontendTest, KeepsNothingWhenTheCallerForbidsIt) {
  JobRequest request = ask("a fine day", {"reply"});
  request.store = false;
  job(request);
  finish_text(asked_[0], "hello");
  job(ask("a fine day", {"reply"}));
  EXPECT_THAT(asked_, SizeIs(2));
}

TEST_F(FrontendTest, KeepsNamespacesApart) {
  job(ask("a fine day", {"reply"}));
  finish_text(asked_[0], "hello");
  JobRequest request = ask("a fine day", {"reply"});
  request.cache_namespace = "other";
  job(request);
  EXPECT_THAT(asked_, SizeIs(2));
}

TEST_F(FrontendTest, KeepsOnlyGoodAnswers) {
  job(ask("a fine day", {"reply"}));
  finish_text(asked_[0], "hello and then it was cut o", "length");
  EXPECT_EQ(result().tasks.at(0).text->finish_reason, "length");
  job(ask("a fine day", {"reply"}));
  EXPECT_THAT(asked_, SizeIs(2));
}

TEST_F(FrontendTest, KeepsTheOtherTasksWhenOneFails) {
  job(ask("a fine day", {"sentimnt", "reply"}));
  EXPECT_THAT(story_, ElementsAre("sentimnt"));
  finish_text(asked_.at(0), "hello");
  const JobResult all = result();
  ASSERT_TRUE(all.tasks[0].error);
  EXPECT_EQ(all.tasks[0].error->code, ErrorCode::kNotFound);
  EXPECT_THAT(all.tasks[0].error->text, HasSubstr("sentiment"));
  EXPECT_EQ(all.tasks[1].text->text, "hello");
}

TEST_F(FrontendTest, SaysWhatIsWrongWithAnEmptyText) {
  job(ask("  ", {"sentiment", "reply"}));
  EXPECT_THAT(asked_, IsEmpty());
  const JobResult all = result();
  for (const TaskResult& task : all.tasks) {
    ASSERT_TRUE(task.error);
    EXPECT_EQ(task.error->code, ErrorCode::kInvalid);
  }
}

TEST_F(FrontendTest, PassesTheEnginesRefusalOnToThatTaskOnly) {
  job(ask("a fine day", {"sentiment", "reply"}));
  SequenceDone refused;
  refused.id = asked_[1].id;
  refused.error = {ErrorCode::kTooLong, "expected less"};
  tell(refused);
  finish_score(asked_[0], 5, 1);
  const JobResult all = result();
  EXPECT_TRUE(all.tasks[0].label);
  EXPECT_EQ(all.tasks[1].error, refused.error);
}

TEST_F(FrontendTest, RefusesAJobItCannotReadWithoutARetry) {
  const JobId id = job(make_job_id(), "\xff garbage", 2);
  ASSERT_THAT(results_, SizeIs(1));
  EXPECT_EQ(results_[0].id, id);
  EXPECT_EQ(results_[0].attempt, 2u);
  EXPECT_NE(results_[0].error.text, "");
  EXPECT_FALSE(results_[0].retry);
}

// MISSION C14, within one worker.
TEST_F(FrontendTest, RunsEqualQuestionsThatMeetOnce) {
  JobRequest request = ask("a fine day", {"reply"});
  request.stream = true;
  const JobId first = job(request);
  tell(SequenceDelta{asked_[0].id, "hel"});
  const JobId second = job(request);
  EXPECT_THAT(asked_, SizeIs(1));
  EXPECT_THAT(story_, ElementsAre("...hel", "...hel")) << "who comes late hears what was said";
  tell(SequenceDelta{asked_[0].id, "lo"});
  finish_text(asked_[0], "hello");
  ASSERT_THAT(results_, SizeIs(2));
  EXPECT_THAT((std::vector{results_[0].id, results_[1].id}), ::testing::UnorderedElementsAre(first, second));
  EXPECT_EQ(decode_job_result(results_[0].payload)->tasks[0].text->text, "hello");
  EXPECT_EQ(decode_job_result(results_[1].payload)->tasks[0].text->text, "hello");
}

// Or a person would wait behind all the bulk that the first one waits behind.
TEST_F(FrontendTest, HurriesBulkWorkThatSomebodyBeginsToWaitFor) {
  job(ask("a fine day", {"reply"}));
  job(ask("a fine day", {"reply"}));
  EXPECT_THAT(hurried_, IsEmpty());
  LeasedJob urgent = lent(ask("a fine day", {"reply"}));
  urgent.urgency = Urgency::kInteractive;
  tell(urgent);
  ASSERT_THAT(asked_, SizeIs(1));
  EXPECT_THAT(hurried_, ElementsAre(asked_[0].id));
  JobRequest request = ask("a fine day", {"reply"});
  request.stream = true;
  job(request);
  EXPECT_THAT(hurried_, SizeIs(1)) << "once is enough";
}

TEST_F(FrontendTest, AnswersATaskThatIsAskedForTwiceInOneJobTwice) {
  job(ask("a fine day", {"reply", "reply"}));
  EXPECT_THAT(asked_, SizeIs(1));
  finish_text(asked_[0], "hello");
  const JobResult all = result();
  ASSERT_THAT(all.tasks, SizeIs(2));
  EXPECT_EQ(all.tasks[0].text, all.tasks[1].text);
}

TEST_F(FrontendTest, CancelsTheWorkOfACancelledJob) {
  const JobId id = job(ask("a fine day", {"sentiment", "reply"}));
  finish_score(asked_[0], 5, 1);
  tell(CancelledJob{id});
  EXPECT_THAT(cancelled_, ElementsAre(asked_[1].id));
  finish_text(asked_[1], "", "cancelled");  // the inference thread confirms
  EXPECT_THAT(results_, IsEmpty());
  tell(CancelledJob{id});  // once more does no harm
}

TEST_F(FrontendTest, KeepsWorkThatSomebodyElseWaitsFor) {
  const JobId first = job(ask("a fine day", {"reply"}));
  const JobId second = job(ask("a fine day", {"reply"}));
  tell(CancelledJob{first});
  EXPECT_THAT(cancelled_, IsEmpty());
  finish_text(asked_[0], "hello");
  ASSERT_THAT(results_, SizeIs(1));
  EXPECT_EQ(results_[0].id, second);
}

// Somebody else has nothing to do.
TEST_F(FrontendTest, GivesARecalledJobBackOfWhichNothingWasBegun) {
  const JobId id = job(ask("a fine day", {"sentiment", "reply"}), 3);
  tell(RecalledJob{id});
  EXPECT_THAT(returned_, ElementsAre(HeldLease{id, 3}));
  EXPECT_THAT(cancelled_, ::testing::UnorderedElementsAre(asked_[0].id, asked_[1].id));

  // The inference had begun it in the same moment, and says so too late.
  tell(SequencesBegan{{asked_[0].id}});
  finish_score(asked_[0], 5, 1);
  finish_text(asked_[1], "hello");
  tell(RecalledJob{id});
  EXPECT_THAT(story_, ElementsAre("given back")) << "never answered after that";
}

TEST_F(FrontendTest, KeepsARecalledJobOfWhichATaskIsBegun) {
  const JobId id = job(ask("a fine day", {"sentiment", "reply"}));
  tell(SequencesBegan{{asked_[1].id}});
  tell(RecalledJob{id});
  EXPECT_THAT(cancelled_, IsEmpty());
  finish_text(asked_[1], "hello");
  finish_score(asked_[0], 5, 1);
  EXPECT_THAT(story_, ElementsAre("reply", "done")) << "as if nothing was said";
}

// A part of the answer was told: another worker would tell it again.
TEST_F(FrontendTest, KeepsARecalledJobOfWhichATaskIsAnswered) {
  job(ask("a fine day", {"sentiment"}));
  finish_score(asked_[0], 5, 1);
  story_.clear();
  const JobId id = job(ask("a fine day", {"sentiment", "reply"}));
  EXPECT_THAT(story_, ElementsAre("sentiment")) << "from the cache";
  tell(RecalledJob{id});
  finish_text(asked_.at(1), "hello");
  EXPECT_THAT(story_, ElementsAre("sentiment", "done"));
}

TEST_F(FrontendTest, PassesOverTheRecallOfAJobThatIsFinishedOrUnknown) {
  const JobId id = job(ask("a fine day", {"reply"}));
  finish_text(asked_[0], "hello");
  tell(RecalledJob{id});
  tell(RecalledJob{make_job_id()});
  EXPECT_THAT(story_, ElementsAre("done"));
}

TEST_F(FrontendTest, GivesARecalledJobBackButNotTheWorkThatSomebodyElseWaitsFor) {
  const JobId first = job(ask("a fine day", {"reply"}));
  const JobId second = job(ask("a fine day", {"reply"}));
  tell(RecalledJob{first});
  EXPECT_THAT(returned_, ElementsAre(HeldLease{first, 1}));
  EXPECT_THAT(cancelled_, IsEmpty());
  tell(SequencesBegan{{asked_[0].id}});
  tell(RecalledJob{second});
  finish_text(asked_[0], "hello");
  EXPECT_THAT(story_, ElementsAre("given back", "done"));
  EXPECT_EQ(results_.at(0).id, second);
}

TEST_F(FrontendTest, BeginsAJobAgainThatComesBackAfterItWasGivenBack) {
  const JobRequest request = ask("a fine day", {"reply"});
  const JobId id = job(request, 1);
  tell(RecalledJob{id});
  job(id, encode(request), 2);
  ASSERT_THAT(asked_, SizeIs(2));
  finish_text(asked_[1], "hello");
  EXPECT_THAT(story_, ElementsAre("given back", "done"));
  EXPECT_EQ(results_.at(0).attempt, 2u);
}

TEST_F(FrontendTest, DropsAJobWhoseTimeIsOverBeforeItBegan) {
  LeasedJob leased = lent(ask("a fine day", {"sentiment", "reply"}));
  leased.expires = clock_.now() + std::chrono::seconds(5);
  tell(leased);
  tell(OverdueJob{leased.id});
  EXPECT_THAT(cancelled_, SizeIs(2));
  ASSERT_THAT(results_, SizeIs(1));
  EXPECT_EQ(results_[0].error.code, ErrorCode::kExpired);
  EXPECT_FALSE(results_[0].retry);
  finish_text(asked_[1], "hello");
  EXPECT_THAT(story_, ElementsAre("done"));
}

TEST_F(FrontendTest, FinishesAJobWhoseTimeIsOverAfterItBegan) {
  const JobId id = job(ask("a fine day", {"reply"}));
  tell(SequencesBegan{{asked_[0].id}});
  tell(OverdueJob{id});
  finish_text(asked_[0], "hello");
  EXPECT_EQ(result().tasks.at(0).text->text, "hello");
}

TEST_F(FrontendTest, DoesNotEvenReadAJobThatComesTooLate) {
  LeasedJob leased = lent(ask("a fine day", {"reply"}));
  leased.attempt = 2;
  leased.expires = clock_.now() + std::chrono::milliseconds(1);
  clock_.advance(std::chrono::milliseconds(1));
  tell(leased);
  EXPECT_THAT(asked_, IsEmpty());
  ASSERT_THAT(results_, SizeIs(1));
  EXPECT_EQ(results_[0].error.code, ErrorCode::kExpired);
  EXPECT_EQ(results_[0].attempt, 2u);
  tell(OverdueJob{leased.id});
  EXPECT_THAT(results_, SizeIs(1));
}

// The broker gave the lease up for lost and lends the job to the same worker again.
TEST_F(FrontendTest, GoesOnWithAJobThatIsLentAgainUnderItsNewNumber) {
  const JobRequest request = ask("a fine day", {"reply"});
  const JobId id = job(request, 1);
  job(id, encode(request), 2);
  EXPECT_THAT(asked_, SizeIs(1));
  finish_text(asked_[0], "hello");
  ASSERT_THAT(results_, SizeIs(1));
  EXPECT_EQ(results_[0].attempt, 2u);
}

TEST_F(FrontendTest, UsesAnEditedTaskFileWithinASecond) {
  clock_.advance(std::chrono::seconds(2));
  std::string edited = kReplyTask;
  edited.replace(edited.find("tokens_max = 20"), 15, "tokens_max = 7 ");
  write_task("reply", edited + "\n# edited\n");
  write_task("fresh", kReplyTask);
  job(ask("a fine day", {"reply", "fresh"}));
  ASSERT_THAT(asked_, SizeIs(2));
  EXPECT_EQ(std::get<DecodeWork>(asked_[0].work).tokens_max, 7u);
  EXPECT_THAT(primed_, SizeIs(1)) << "all of them begin in the same way";
}

TEST_F(FrontendTest, TellsWhatPromptsBeginWith) {
  write_task("polite", std::string(kReplyTask)
                           .replace(std::string(kReplyTask).find("user ="), 0, "system = \"Be polite.\"\n"));
  open();
  frontend_->prime_tasks();
  job(ask("a fine day", {"polite"}));
  ASSERT_THAT(primed_, SizeIs(2));
  const std::string polite =
      tiny_.tokenizer.decode(primed_[0], false) + tiny_.tokenizer.decode(primed_[1], false);
  EXPECT_THAT(polite, HasSubstr("Be polite."));
  EXPECT_THAT(polite, ::testing::Not(HasSubstr("day")));
}

TEST_F(FrontendTest, CallsAJobUrgentThatSaysSo) {
  LeasedJob urgent = lent(ask("a fine day", {"sentiment", "reply"}));
  urgent.urgency = Urgency::kInteractive;
  tell(urgent);
  ASSERT_THAT(asked_, SizeIs(2));
  for (const SequenceRequest& asked : asked_) EXPECT_EQ(asked.urgency, Urgency::kInteractive);
}

TEST_F(FrontendTest, CallsAJobUrgentWhoseAnswerSomebodyWatches) {
  JobRequest request = ask("a fine day", {"sentiment", "reply"});
  job(request);
  request.text = "another day";
  request.stream = true;
  job(request);
  ASSERT_THAT(asked_, SizeIs(4));
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(asked_[i].urgency, i < 2 ? Urgency::kBulk : Urgency::kInteractive) << i;
  }
}

TEST_F(FrontendTest, KeepsTheOldTasksWhenAnEditIsBroken) {
  clock_.advance(std::chrono::seconds(2));
  write_task("reply", "version = 'what'\n");
  job(ask("a fine day", {"reply"}));
  ASSERT_THAT(asked_, SizeIs(1));
  EXPECT_EQ(std::get<DecodeWork>(asked_[0].work).tokens_max, 20u);

  clock_.advance(std::chrono::seconds(2));
  std::string mended = kReplyTask;
  mended.replace(mended.find("tokens_max = 20"), 15, "tokens_max = 9 ");
  write_task("reply", mended);
  job(ask("another day", {"reply"}));
  EXPECT_EQ(std::get<DecodeWork>(asked_.at(1).work).tokens_max, 9u);
}

// Frontend and inference together, with the tiny model, one after the other instead of side by side.
TEST_F(FrontendTest, GivesTheSameAnswerFromTheModelAndFromTheCache) {
  InferenceLoop loop(*tiny_.model, tiny_.tokenizer, tiny_.make_kv(128),
                     {.n_blocks = 128, .sequences_max = 8, .batch_tokens_max = 64, .positions_max = 2048},
                     clock_, inference_, [&](FromInference news) {
                       std::visit([&](auto& one) { inbox_.push(std::move(one)); }, news);
                     });
  JobRequest request = ask("a fine day", {"sentiment", "reply", "guess"});
  request.stream = true;
  const auto run = [&] {
    inbox_.push(lent(request));
    std::optional<JobResult> all;
    std::string streamed;
    for (int n_steps = 0; n_steps < 1000 && !all; ++n_steps) {
      frontend_->turn(inbox_.take());
      for (FromFrontend& said : session_.take()) {
        if (auto* part = std::get_if<PartialItem>(&said)) {
          streamed += decode_job_part(part->payload)->delta;
        } else {
          all = *decode_job_result(std::get<ResultItem>(said).payload);
        }
      }
      loop.step();
    }
    EXPECT_TRUE(all) << "no result";
    EXPECT_EQ(streamed, all ? all->tasks.at(1).text->text : "");
    return all.value_or(JobResult{});
  };
  const JobResult first = run();
  const JobResult second = run();
  ASSERT_THAT(first.tasks, SizeIs(3));
  ASSERT_TRUE(first.tasks[0].label) << first.tasks[0].error->text;
  EXPECT_THAT(first.tasks[0].label->label, ::testing::AnyOf("positive", "negative"));
  EXPECT_EQ(second.tasks[0].source, AnswerSource::kExact);
  EXPECT_EQ(second.tasks[0].label, first.tasks[0].label);
  EXPECT_EQ(second.tasks[1].text, first.tasks[1].text);
}

}  // namespace
}  // namespace tandem
