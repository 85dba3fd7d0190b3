// What the shipped tasks cost together: from task files and real tokenizers to tokens that a model computes.

#include <gmock/gmock.h>

#include <cstdio>
#include <optional>

#include "tests/tokenizer/golden.h"
#include "tests/worker/support/counting_model.h"
#include "worker/frontend/work_order.h"
#include "worker/scheduler/inference_loop.h"
#include "worker/tasks/fixed_prefix.h"

namespace tandem {
namespace {

constexpr char kText[] =
    "When the river rose for the third time in one spring, the people of the lower town began to move their "
    "shops up the hill. The baker went first, because flour does not forgive water, and after her the two "
    "men "
    "who mended clocks, and then nearly everybody else. Only the ferryman stayed. He said that a house on "
    "piles needs no hill, and that somebody had to be there when the water went down again, to write on the "
    "wall how high it had been. There were eleven such marks already, the oldest of them made by his "
    "grandfather's grandfather, and the new one, when the sun came out at last, stood a full hand above all "
    "the others. The mayor came down to look at it, put her palm flat on the damp plaster, and was silent "
    "for "
    "a while. Then she asked him what he would need to stay another year, and he asked for a longer rope, "
    "two "
    "lamps, and a bell that could be heard on the hill at night.";

class PromptSharingTest : public ::testing::Test {
 protected:
  void use(const engine::Tokenizer& tokenizer) {
    tokenizer_ = &tokenizer;
    const auto book = TaskBook::load("../configs/tasks");
    ASSERT_TRUE(book) << book.error().text;
    book_ = *book;
    model_.emplace(200'000);
    auto kv = engine::KvCache::create(model_->kv_shape(), 512);
    ASSERT_TRUE(kv);
    orders_.emplace(ModelFacts{.model_fingerprint = "counting",
                               .tokenizer = tokenizer_,
                               .chat_template = engine::ChatTemplate("You are a helpful assistant"),
                               .end_token = *tokenizer_->special_id("<|im_end|>"),
                               .sequence_tokens_max = 8192});
    loop_.emplace(
        *model_, *tokenizer_, std::move(*kv),
        SchedulerLimits{.n_blocks = 512, .sequences_max = 64, .batch_tokens_max = 512, .positions_max = 8192},
        clock_, inbox_, [this](FromInference news) {
          if (auto* done = std::get_if<SequenceDone>(&news)) done_.push_back(std::move(*done));
        });
  }

  // A text of exactly so many tokens.
  std::string text_of(size_t n_tokens) const {
    engine::Tokens tokens = tokenizer_->encode_plain(kText);
    EXPECT_GE(tokens.size(), n_tokens);
    tokens.resize(n_tokens);
    return tokenizer_->decode(tokens);
  }

  void ask(const std::string& task, const std::string& text) {
    JobRequest request;
    request.text = text;
    request.tasks = {task};
    request.decode.tokens_max = 4;
    auto order = orders_->make(book_, task, request);
    ASSERT_TRUE(order) << order.error().text;
    inbox_.push(order->to_sequence(++id_last_, clock_.now(), false, Urgency::kBulk));
  }
  void prime() {
    for (engine::Tokens& prefix : orders_->fixed_prefixes(*book_))
      inbox_.push(PrimePrefix{std::move(prefix)});
    run();
  }
  void run() {
    while (loop_->step()) {
    }
  }
  size_t n_prompt_tokens() const {
    size_t n_tokens = 0;
    for (const SequenceDone& done : done_) n_tokens += done.prompt_tokens;
    return n_tokens;
  }
  size_t n_prompt_tokens_computed() const {
    size_t n_tokens = 0;
    for (const SequenceDone& done : done_) n_tokens += done.prompt_tokens - done.cached_tokens;
    return n_tokens;
  }

  void expect_that_four_tasks_share_one_text() {
    const std::string text = text_of(200);
    for (const char* task : {"summary", "keywords", "grammar", "translate"}) ask(task, text);
    run();
    ASSERT_EQ(done_.size(), 4u);
    const double share =
        static_cast<double>(n_prompt_tokens_computed()) / static_cast<double>(n_prompt_tokens());
    std::printf("four tasks, one text: %zu of %zu prompt tokens computed, %.3f\n", n_prompt_tokens_computed(),
                n_prompt_tokens(), share);
    EXPECT_LE(share, 0.4);
  }

  ManualClock clock_;
  Inbox<ToInference> inbox_;
  const engine::Tokenizer* tokenizer_ = nullptr;
  std::shared_ptr<const TaskBook> book_;
  std::optional<testing::CountingModel> model_;
  std::optional<WorkOrders> orders_;
  std::optional<InferenceLoop> loop_;
  std::vector<SequenceDone> done_;
  SequenceId id_last_ = 0;
};

const engine::Tokenizer& demo_tokenizer() {
  static const auto tokenizer = engine::Tokenizer::load("../configs/models/tandem-demo");
  EXPECT_TRUE(tokenizer) << tokenizer.error().text;
  return *tokenizer;
}

TEST_F(PromptSharingTest, FourTasksOverOneTextComputeItOnce) {
  use(demo_tokenizer());
  expect_that_four_tasks_share_one_text();
}

TEST_F(PromptSharingTest, FourTasksOverOneTextComputeItOnceWithQwensTokenizer) {
  const engine::Tokenizer* tokenizer = engine::golden::real_tokenizer("qwen1_5");
  if (tokenizer == nullptr) GTEST_SKIP() << engine::golden::kWhySkipped;
  use(*tokenizer);
  expect_that_four_tasks_share_one_text();
}

// Every template once, at the start; after that a job costs its text and what stands behind it.
TEST_F(PromptSharingTest, ComputesEveryTemplateOnceInAProcess) {
  use(demo_tokenizer());
  prime();
  const std::vector<engine::Tokens> prefixes = orders_->fixed_prefixes(*book_);
  size_t n_all = 0;
  for (const engine::Tokens& prefix : prefixes) n_all += prefix.size();
  EXPECT_LE(loop_->counters().primed_tokens, n_all);
  EXPECT_GE(prefixes.size(), 5u);
  EXPECT_LT(prefixes.size(), book_->tasks().size()) << "tasks with one beginning have one";

  for (const auto& [name, task] : book_->tasks()) {
    const size_t n_fixed =
        fixed_prefix(task, *tokenizer_, engine::ChatTemplate("You are a helpful assistant"), 8192).size();
    for (int i = 0; i < 8; ++i) ask(name, std::to_string(i) + text_of(20 + i));
    run();
    ASSERT_EQ(done_.size(), 8u);
    for (const SequenceDone& done : done_) EXPECT_GE(done.cached_tokens, n_fixed) << name;
    done_.clear();
  }
}

TEST_F(PromptSharingTest, TreatsAJobAsInteractiveThatSaysSoOrStreams) {
  JobRequest request;
  EXPECT_EQ(urgency_of(request, Urgency::kBulk), Urgency::kBulk);
  EXPECT_EQ(urgency_of(request, Urgency::kInteractive), Urgency::kInteractive);
  request.stream = true;
  EXPECT_EQ(urgency_of(request, Urgency::kBulk), Urgency::kInteractive);
}

}  // namespace
}  // namespace tandem
