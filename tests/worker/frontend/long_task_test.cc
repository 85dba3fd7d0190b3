// Texts that are too long for one prompt, counted where it costs: in the sequences that the model is asked
// for.

#include "worker/frontend/long_task.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "shared/base/hash.h"
#include "tests/support/temp_dir.h"
#include "tests/worker/support/tiny_model.h"
#include "worker/frontend/frontend.h"
#include "worker/scheduler/capacity.h"
#include "worker/scheduler/inference_loop.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using testing::TempDir;
using testing::TinyModel;

constexpr char kSummary[] = R"(
version = 1
[prompt]
user = "SUM {text}"
[input]
chars_max = 400
too_long = "split"
[answer]
kind = "text"
[decode]
tokens_max = 20
[split]
chars_max = 400
reduce = "join"
)";
constexpr char kJoin[] = R"(
version = 1
[prompt]
user = "JOIN {text}"
[input]
tokens_max = 4000
[answer]
kind = "text"
[decode]
tokens_max = 30
)";
constexpr char kMood[] = R"(
version = 1
[prompt]
user = "{text}"
[input]
chars_max = 400
too_long = "split"
[answer]
kind = "label"
labels = [{ id = "good", say = "Good" }, { id = "bad", say = "Bad" }]
[split]
chars_max = 400
)";

std::string sentence(size_t i) {
  return "Sentence number " + std::to_string(i) + " says that it is one of many. ";
}
std::string text_of(size_t n_sentences) {
  std::string text;
  for (size_t i = 0; i < n_sentences; ++i) text += sentence(i);
  return text;
}

// The test plays the session and the inference thread.
class LongTaskTest : public ::testing::Test {
 protected:
  LongTaskTest() {
    write_task("summary", kSummary);
    write_task("join", kJoin);
    write_task("mood", kMood);
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
                     .sequence_tokens_max = sequence_tokens_max_};
    frontend_ = std::make_unique<Frontend>(Frontend::Parts{.worker = "ann",
                                                           .model = std::move(facts),
                                                           .tasks = std::move(*tasks),
                                                           .cache = std::move(*cache)},
                                           clock_, inbox_, inference_, session_);
  }
  void write_task(const std::string& name, const std::string& toml) {
    std::ofstream(tasks_ / (name + ".toml")) << toml;
  }

  static JobRequest ask(const std::string& text, std::vector<std::string> tasks = {"summary"}) {
    JobRequest request;
    request.text = text;
    request.tasks = std::move(tasks);
    return request;
  }
  JobId job(const JobRequest& request) {
    LeasedJob lent;
    lent.id = make_job_id();
    lent.payload = encode(request);
    lent.arrived = clock_.now();
    tell(lent);
    return lent.id;
  }
  void tell(ToFrontend message) {
    std::vector<ToFrontend> messages;
    messages.push_back(std::move(message));
    frontend_->turn(std::move(messages));
    for (ToInference& said : inference_.take()) {
      if (auto* request = std::get_if<SequenceRequest>(&said)) asked_.push_back(std::move(*request));
      if (auto* cancel = std::get_if<CancelSequence>(&said)) cancelled_.push_back(cancel->id);
    }
    for (FromFrontend& said : session_.take()) {
      if (auto* part = std::get_if<PartialItem>(&said)) parts_.push_back(*decode_job_part(part->payload));
      if (std::holds_alternative<ReturnedJob>(said)) ++n_returned_;
      if (auto* item = std::get_if<ResultItem>(&said)) results_.push_back(*decode_job_result(item->payload));
    }
  }

  std::string prompt_of(const SequenceRequest& request) {
    return tiny_.tokenizer.decode(request.prompt, false);
  }
  bool is_piece(const SequenceRequest& request) {
    return prompt_of(request).find("SUM ") != std::string::npos;
  }
  bool is_join(const SequenceRequest& request) {
    return prompt_of(request).find("JOIN ") != std::string::npos;
  }

  // Like a greedy model: the same words for the same prompt, others for another.
  std::string words_for(const SequenceRequest& request) {
    return "about " + hash128(prompt_of(request)).to_hex().substr(0, 6);
  }
  void answer(const SequenceRequest& request, const std::string& text, const std::string& reason = "stop") {
    SequenceDone done;
    done.id = request.id;
    done.text = text;
    done.finish_reason = reason;
    done.prompt_tokens = 100;
    done.computed_tokens = 90;
    done.completion_tokens = 4;
    tell(done);
  }
  // Everything that is asked for and not answered yet, until nothing more comes.
  void answer_all() {
    for (; n_answered_ < asked_.size(); ++n_answered_) {
      const SequenceRequest request = asked_[n_answered_];
      answer(request, words_for(request));
    }
  }
  size_t n_pieces_asked() {
    return static_cast<size_t>(
        std::count_if(asked_.begin(), asked_.end(), [&](const auto& one) { return is_piece(one); }));
  }
  TaskResult result() {
    EXPECT_THAT(results_, Not(IsEmpty()));
    return results_.empty() ? TaskResult{} : results_.back().tasks.at(0);
  }
  void forget() {
    asked_.clear();
    cancelled_.clear();
    parts_.clear();
    results_.clear();
    n_answered_ = 0;
  }

  TinyModel& tiny_ = TinyModel::get();
  size_t sequence_tokens_max_ = 2048;
  TempDir tasks_, cache_;
  ManualClock clock_;
  Inbox<ToFrontend> inbox_;
  Inbox<ToInference> inference_;
  Inbox<FromFrontend> session_;
  std::unique_ptr<Frontend> frontend_;
  std::vector<SequenceRequest> asked_;
  std::vector<SequenceId> cancelled_;
  std::vector<JobPart> parts_;
  std::vector<JobResult> results_;
  size_t n_answered_ = 0;
  size_t n_returned_ = 0;
};

TEST_F(LongTaskTest, AsksOnceForEveryPieceAndOnceForAllOfThem) {
  job(ask(text_of(60)));
  answer_all();
  ASSERT_THAT(results_, SizeIs(1));
  const size_t n_pieces = n_pieces_asked();
  EXPECT_GT(n_pieces, 6u);
  ASSERT_EQ(asked_.size(), n_pieces + 1);
  EXPECT_TRUE(is_join(asked_.back()));
  for (size_t i = 0; i < n_pieces; ++i) {
    EXPECT_THAT(prompt_of(asked_[i]), HasSubstr("SUM Sentence number ")) << "pieces begin with sentences";
    EXPECT_THAT(prompt_of(asked_.back()), HasSubstr(words_for(asked_[i])));
    EXPECT_EQ(std::get<DecodeWork>(asked_[i].work).tokens_max, 20u);
  }
  EXPECT_EQ(std::get<DecodeWork>(asked_.back().work).tokens_max, 30u);

  const TaskResult task = result();
  EXPECT_EQ(task.task, "summary");
  EXPECT_EQ(task.text, (TextAnswer{words_for(asked_.back()), "stop"}));
  EXPECT_EQ(task.pieces, n_pieces);
  EXPECT_EQ(task.source, AnswerSource::kModel);
  EXPECT_EQ(task.worker, "ann");
  EXPECT_EQ(task.usage, (Usage{.prompt_tokens = static_cast<uint32_t>(100 * (n_pieces + 1)),
                               .cached_tokens = 0,
                               .computed_tokens = static_cast<uint32_t>(90 * (n_pieces + 1)),
                               .completion_tokens = static_cast<uint32_t>(4 * (n_pieces + 1))}));
}

TEST_F(LongTaskTest, DoesATextThatFitsInOnePiece) {
  job(ask(text_of(3)));
  answer_all();
  EXPECT_THAT(asked_, SizeIs(1));
  EXPECT_EQ(result().pieces, 0u);
}

// MISSION C10: the fingerprint of the document.
TEST_F(LongTaskTest, AsksForNothingWhenTheSameTextComesAgain) {
  job(ask(text_of(60)));
  answer_all();
  const TaskResult first = result();
  forget();
  open();  // another process
  job(ask("  " + text_of(60) + "\n"));
  EXPECT_THAT(asked_, IsEmpty());
  const TaskResult second = result();
  EXPECT_EQ(second.text, first.text);
  EXPECT_EQ(second.pieces, first.pieces);
  EXPECT_EQ(second.task_fingerprint, first.task_fingerprint);
  EXPECT_EQ(second.source, AnswerSource::kExact);
  EXPECT_EQ(second.usage.computed_tokens, 0u);
}

// Pieces that ran into their limit are no answers for a cache; what was made of them is.
TEST_F(LongTaskTest, FindsTheWholeTextWhosePiecesItDoesNotKeep) {
  job(ask(text_of(60)));
  for (size_t i = 0; i < asked_.size(); ++i) {
    const SequenceRequest request = asked_[i];
    answer(request, words_for(request), is_piece(request) ? "length" : "stop");
  }
  ASSERT_THAT(results_, SizeIs(1));
  forget();
  job(ask(text_of(60)));
  EXPECT_THAT(asked_, IsEmpty());
  EXPECT_EQ(result().source, AnswerSource::kExact);
}

TEST_F(LongTaskTest, DoesNotKeepWhatWasMadeOfARefusal) {
  job(ask(text_of(60)));
  answer(asked_[n_answered_++], "I'm sorry, but I cannot help with that.");
  answer_all();
  ASSERT_THAT(results_, SizeIs(1));
  const size_t n_first = asked_.size();
  forget();
  job(ask(text_of(60)));
  EXPECT_THAT(asked_, SizeIs(1)) << "of " << n_first << ": the piece that was refused";
}

TEST_F(LongTaskTest, AsksForOnePieceOrTwoWhenASentenceIsEdited) {
  std::string text = text_of(400);
  job(ask(text));
  answer_all();
  const size_t n_pieces = n_pieces_asked();
  EXPECT_GT(n_pieces, 50u);
  for (const size_t edited : {5u, 200u, 390u}) {
    forget();
    const size_t at = text.find(sentence(edited));
    text.insert(at + 9, "edited ");
    job(ask(text));
    answer_all();
    ASSERT_THAT(results_, SizeIs(1));
    EXPECT_GE(n_pieces_asked(), 1u);
    EXPECT_LE(n_pieces_asked(), 2u);
    EXPECT_LE(asked_.size(), n_pieces_asked() + 3)
        << "and the levels above them, one group or two and the last";
    EXPECT_EQ(result().source, AnswerSource::kModel);
    EXPECT_GT(result().usage.prompt_tokens, 100 * n_pieces)
        << "of all pieces, wherever their answers are from";
    EXPECT_EQ(result().usage.computed_tokens, 90 * asked_.size());
  }
}

// A book does not push everybody else's work aside.
TEST_F(LongTaskTest, HasAFewPiecesInLineAtATime) {
  job(ask(text_of(400)));
  EXPECT_THAT(asked_, SizeIs(kPartsAtOnceMax));
  answer(asked_[n_answered_], words_for(asked_[n_answered_]));
  ++n_answered_;
  EXPECT_THAT(asked_, SizeIs(kPartsAtOnceMax + 1));
  answer_all();
  EXPECT_THAT(results_, SizeIs(1));
}

TEST_F(LongTaskTest, TakesAnswersInAnyOrder) {
  job(ask(text_of(60)));
  answer_all();
  const TaskResult first = result();
  forget();
  JobRequest again = ask(text_of(60));
  again.accept = AcceptSource::kModel;
  job(again);
  ASSERT_LE(asked_.size(), kPartsAtOnceMax);
  for (size_t i = asked_.size(); i-- > 0;) answer(SequenceRequest(asked_[i]), words_for(asked_[i]));
  answer(SequenceRequest(asked_.back()), words_for(asked_.back()));
  EXPECT_EQ(result().text, first.text);
}

TEST_F(LongTaskTest, AsksOnceForPiecesThatSayTheSame) {
  std::string text;
  for (int i = 0; i < 20; ++i) {
    for (size_t n = 0; n < 5; ++n) text += sentence(n);
    text += "\n\n";
  }
  job(ask(text));
  const size_t n_different = asked_.size();
  answer_all();
  ASSERT_THAT(results_, SizeIs(1));
  EXPECT_GT(result().pieces, 2 * n_different);
}

TEST_F(LongTaskTest, ReducesInLevelsWhatIsTooLongForOnePrompt) {
  std::string join = kJoin;
  join.replace(join.find("4000"), 4, "80");
  write_task("join", join);
  open();
  job(ask(text_of(200)));
  answer_all();
  ASSERT_THAT(results_, SizeIs(1));
  ASSERT_TRUE(result().text) << result().error->text;
  const size_t n_joins = asked_.size() - n_pieces_asked();
  EXPECT_GT(n_joins, 3u);
  EXPECT_LT(n_joins, n_pieces_asked());
  EXPECT_EQ(result().text->text, words_for(asked_.back()));
  EXPECT_EQ(result().usage.prompt_tokens, 100 * asked_.size());

  forget();
  job(ask(text_of(200) + "One more."));
  answer_all();
  EXPECT_LE(asked_.size(), 8u) << "a piece or two, and the groups that they are in";
}

TEST_F(LongTaskTest, SaysSoWhenNoTwoAnswersFitTogether) {
  std::string join = kJoin;
  join.replace(join.find("4000"), 4, "12");
  write_task("join", join);
  open();
  job(ask(text_of(60)));
  answer_all();
  ASSERT_THAT(results_, SizeIs(1));
  ASSERT_TRUE(result().error);
  EXPECT_EQ(result().error->code, ErrorCode::kTooLong);
  EXPECT_THAT(result().error->text,
              HasSubstr("the answers of pieces: expected several to fit into the 12 tokens"));
}

TEST_F(LongTaskTest, NamesThePieceThatFailedAndDropsTheOthers) {
  const JobId id = job(ask(text_of(60)));
  const size_t n_asked = asked_.size();
  answer(asked_[1], "fine");
  SequenceDone refused;
  refused.id = asked_[2].id;
  refused.error = {ErrorCode::kInternal, "expected numbers"};
  tell(refused);
  ASSERT_THAT(results_, SizeIs(1));
  ASSERT_TRUE(result().error);
  EXPECT_EQ(result().error->code, ErrorCode::kInternal);
  EXPECT_EQ(result().error->text, "piece 3 of " + std::to_string(n_asked) + ": expected numbers");
  EXPECT_EQ(result().task, "summary");
  EXPECT_THAT(cancelled_, SizeIs(n_asked - 2)) << "all that were in the air";
  for (const SequenceRequest& late : std::vector(asked_)) answer(late, "late");
  tell(CancelledJob{id});
  EXPECT_THAT(results_, SizeIs(1));
  EXPECT_THAT(asked_, SizeIs(n_asked));
}

TEST_F(LongTaskTest, LeavesTheJobsOtherTasksAlone) {
  job(ask(text_of(60), {"summary", "mood"}));
  size_t n_scored = 0;
  SequenceDone refused;
  refused.id = asked_[0].id;
  refused.error = {ErrorCode::kInternal, "expected numbers"};
  ASSERT_TRUE(is_piece(asked_[0]));
  tell(refused);
  ASSERT_THAT(parts_, SizeIs(1));
  EXPECT_TRUE(parts_[0].result->error);
  for (size_t i = 0; i < asked_.size(); ++i) {
    const auto* score = std::get_if<ScoreWork>(&asked_[i].work);
    if (score == nullptr) continue;
    EXPECT_THAT(cancelled_, Not(::testing::Contains(asked_[i].id)));
    SequenceDone done;
    done.id = asked_[i].id;
    for (const engine::Tokens& wanted : score->wanted) done.scores.emplace_back(wanted.size(), 1.0f);
    done.scores[0][0] = n_scored++ == 0 ? 9.0f : 1.0f;
    tell(done);
  }
  ASSERT_THAT(results_, SizeIs(1));
  const LabelAnswer label = *results_[0].tasks.at(1).label;
  EXPECT_GT(n_scored, 6u);
  EXPECT_EQ(results_[0].tasks[1].pieces, n_scored);
  EXPECT_EQ(label.scores.size(), 2u);
  EXPECT_GT(label.probability, 0.5) << "one piece is sure, the others do not know";
  EXPECT_LT(label.probability, 0.7);

  forget();
  job(ask(text_of(60), {"mood"}));
  EXPECT_THAT(asked_, IsEmpty());
  EXPECT_EQ(result().label, label);
}

TEST_F(LongTaskTest, LeavesNothingBehindWhenItIsCancelled) {
  const JobId id = job(ask(text_of(400)));
  answer(asked_[0], words_for(asked_[0]));
  tell(CancelledJob{id});
  EXPECT_THAT(cancelled_, SizeIs(kPartsAtOnceMax)) << "all that were in the air";
  const size_t n_asked = asked_.size();
  for (const SequenceRequest& late : std::vector(asked_)) answer(late, "", "cancelled");
  EXPECT_THAT(asked_, SizeIs(n_asked));
  EXPECT_THAT(results_, IsEmpty());

  forget();  // what was answered is known, nothing else
  job(ask(text_of(400)));
  EXPECT_THAT(asked_, SizeIs(kPartsAtOnceMax));
  answer_all();
  EXPECT_THAT(results_, SizeIs(1));
}

TEST_F(LongTaskTest, IsGivenBackUntilItIsBegun) {
  const JobId first = job(ask(text_of(60)));
  tell(RecalledJob{first});
  EXPECT_EQ(n_returned_, 1u);
  EXPECT_THAT(cancelled_, SizeIs(asked_.size()));

  forget();
  const JobId second = job(ask(text_of(60)));
  tell(SequencesBegan{{asked_[0].id}});
  answer(asked_[0], words_for(asked_[0]));  // now the model works on none of its pieces, but has
  ++n_answered_;
  tell(RecalledJob{second});
  tell(OverdueJob{second});
  EXPECT_EQ(n_returned_, 1u);
  answer_all();
  EXPECT_TRUE(result().text);
}

TEST_F(LongTaskTest, StreamsTheLastAnswerOnly) {
  JobRequest request = ask(text_of(60));
  request.stream = true;
  job(request);
  while (n_answered_ < asked_.size() && is_piece(asked_[n_answered_])) {
    const SequenceRequest piece = asked_[n_answered_++];
    EXPECT_FALSE(std::get<DecodeWork>(piece.work).stream);
    EXPECT_EQ(piece.urgency, Urgency::kInteractive) << "somebody waits for it";
    tell(SequenceDelta{piece.id, "abo"});
    answer(piece, words_for(piece));
  }
  EXPECT_THAT(parts_, IsEmpty());
  ASSERT_TRUE(is_join(asked_.back()));
  EXPECT_TRUE(std::get<DecodeWork>(asked_.back().work).stream);
  tell(SequenceDelta{asked_.back().id, "all"});
  answer(asked_.back(), "all of it");
  ASSERT_THAT(parts_, SizeIs(2));
  EXPECT_EQ(parts_[0].delta + parts_[1].delta, "all of it");

  forget();
  job(request);
  ASSERT_THAT(parts_, SizeIs(1));
  EXPECT_EQ(parts_[0].delta, "all of it") << "a known one in one piece";
}

// The answer is the caller's, its making is the task's: pieces have one answer for all callers.
TEST_F(LongTaskTest, PutsTheCallersSettingsOnTheLastAnswer) {
  job(ask(text_of(60)));
  answer_all();
  forget();
  JobRequest request = ask(text_of(60));
  request.decode.tokens_max = 9;
  job(request);
  answer_all();
  ASSERT_THAT(asked_, SizeIs(1));
  EXPECT_TRUE(is_join(asked_[0]));
  EXPECT_EQ(std::get<DecodeWork>(asked_[0].work).tokens_max, 9u);
}

TEST_F(LongTaskTest, KeepsNothingWhenTheCallerForbidsIt) {
  JobRequest request = ask(text_of(60));
  request.store = false;
  job(request);
  answer_all();
  const size_t n_first = asked_.size();
  forget();
  job(ask(text_of(60)));
  answer_all();
  EXPECT_THAT(asked_, SizeIs(n_first));
  forget();
  request = ask(text_of(60));
  request.cache_namespace = "other";
  job(request);
  answer_all();
  EXPECT_THAT(asked_, SizeIs(n_first));
}

TEST_F(LongTaskTest, AsksOnceForTheSameTextOfTwoJobsThatMeet) {
  job(ask(text_of(60)));
  job(ask(text_of(60)));
  answer_all();
  EXPECT_THAT(results_, SizeIs(2));
  EXPECT_EQ(asked_.size(), n_pieces_asked() + 1);
}

TEST_F(LongTaskTest, RefusesMorePiecesThanTheTaskTakes) {
  write_task("summary", std::string(kSummary) + "pieces_max = 5\n");
  open();
  job(ask(text_of(60)));
  EXPECT_THAT(asked_, IsEmpty());
  ASSERT_TRUE(result().error);
  EXPECT_THAT(result().error->text, AllOf(HasSubstr("expected one of at most 5 pieces for task 'summary'"),
                                          HasSubstr("split.pieces_max")));
}

TEST_F(LongTaskTest, MakesPiecesForTheRoomThatTheModelHas) {
  sequence_tokens_max_ = 180;
  open();
  job(ask(text_of(60)));
  EXPECT_THAT(asked_, Not(IsEmpty()));
  for (const SequenceRequest& asked : asked_) EXPECT_LE(asked.prompt.size(), 160u);
  answer_all();
  ASSERT_THAT(results_, SizeIs(1));
  sequence_tokens_max_ = 60;
  open();
  job(ask(text_of(60)));
  ASSERT_TRUE(result().error);
  EXPECT_THAT(result().error->text, HasSubstr("expected a model with room for pieces of 64 tokens"));
}

TEST_F(LongTaskTest, SaysWhenATextWasCut) {
  write_task("cut", std::string(kJoin).replace(std::string(kJoin).find("tokens_max = 4000"), 17,
                                               "tokens_max = 50\ntoo_long = \"cut_middle\""));
  open();
  job(ask(text_of(60), {"cut"}));
  answer_all();
  EXPECT_TRUE(result().cut);
  job(ask(text_of(60), {"cut"}));
  EXPECT_TRUE(result().cut);
  EXPECT_EQ(result().source, AnswerSource::kExact);
  EXPECT_EQ(result().pieces, 0u);
  job(ask(text_of(1), {"cut"}));
  answer_all();
  EXPECT_FALSE(result().cut);
}

// The files that everybody has, with a text that is too long for all of them.
TEST_F(LongTaskTest, DoesALongTextWithTheShippedTasks) {
  for (const auto& file : std::filesystem::directory_iterator("../configs/tasks")) {
    if (file.path().extension() == ".toml")
      std::filesystem::copy_file(file.path(), tasks_ / file.path().filename(),
                                 std::filesystem::copy_options::overwrite_existing);
  }
  open();
  std::string text;
  for (size_t i = 0; i < 300; ++i) {
    text += sentence(i) + "第" + std::to_string(i) + "句话说，河水又涨了，镇上的人都往山上搬。";
    if (i % 7 == 0) text += "\n\n";
  }
  for (const char* task :
       {"summary", "keywords", "sentiment", "sentiment-zh", "sentiment3", "intent", "reply"}) {
    SCOPED_TRACE(task);
    forget();
    job(ask(text, {task}));
    for (; n_answered_ < asked_.size(); ++n_answered_) {
      const SequenceRequest request = asked_[n_answered_];
      EXPECT_LE(request.prompt.size(), sequence_tokens_max_);
      SequenceDone done;
      done.id = request.id;
      if (const auto* score = std::get_if<ScoreWork>(&request.work)) {
        for (const engine::Tokens& wanted : score->wanted) done.scores.emplace_back(wanted.size(), 1.0f);
      } else {
        done.text = words_for(request);
        done.finish_reason = "stop";
      }
      tell(done);
    }
    ASSERT_THAT(results_, SizeIs(1));
    EXPECT_FALSE(result().error) << result().error->text;
    const bool splits = std::string_view(task) != "intent" && std::string_view(task) != "reply";
    EXPECT_EQ(result().pieces > 5, splits);
    EXPECT_EQ(result().cut, !splits);
  }
}

// Frontend and inference together, with the tiny model.
TEST_F(LongTaskTest, GivesTheSameAnswerWithAndWithoutItsCache) {
  InferenceLoop loop(*tiny_.model, tiny_.tokenizer, tiny_.make_kv(512),
                     {.n_blocks = 512, .sequences_max = 8, .batch_tokens_max = 128, .positions_max = 2048},
                     clock_, inference_, [&](FromInference news) {
                       std::visit([&](auto& one) { inbox_.push(std::move(one)); }, news);
                     });
  const auto run = [&](AcceptSource accept) {
    JobRequest request = ask(text_of(40), {"summary", "mood"});
    request.accept = accept;
    LeasedJob lent;
    lent.id = make_job_id();
    lent.payload = encode(request);
    inbox_.push(std::move(lent));
    for (int n_steps = 0; n_steps < 5000; ++n_steps) {
      frontend_->turn(inbox_.take());
      for (FromFrontend& said : session_.take()) {
        if (auto* item = std::get_if<ResultItem>(&said)) return *decode_job_result(item->payload);
      }
      loop.step();
    }
    ADD_FAILURE() << "no result";
    return JobResult{};
  };
  const JobResult first = run(AcceptSource::kAny);
  ASSERT_THAT(first.tasks, SizeIs(2));
  ASSERT_TRUE(first.tasks[0].text) << first.tasks[0].error->text;
  EXPECT_GT(first.tasks[0].pieces, 3u);
  ASSERT_TRUE(first.tasks[1].label) << first.tasks[1].error->text;
  for (const AcceptSource accept : {AcceptSource::kAny, AcceptSource::kModel}) {
    const JobResult again = run(accept);
    EXPECT_EQ(again.tasks.at(0).text, first.tasks[0].text);
    EXPECT_EQ(again.tasks.at(1).label, first.tasks[1].label);
  }
}

}  // namespace
}  // namespace tandem
