#include "worker/frontend/long_task.h"

#include <algorithm>

#include "shared/base/assert.h"
#include "shared/base/hash.h"
#include "shared/base/utf8.h"
#include "worker/scheduler/capacity.h"
#include "worker/tasks/content_groups.h"
#include "worker/tasks/plain_text.h"
#include "worker/tasks/refusal.h"
#include "worker/tasks/setting_limits.h"
#include "worker/tasks/text_splitter.h"

namespace tandem {
namespace {

constexpr size_t kLevelsMax = 16;              // each has fewer answers than the one before
constexpr std::string_view kBetween = "\n\n";  // answers, on their way to the reduce

std::string joined(std::span<const std::string> answers) {
  std::string text;
  for (const std::string& answer : answers) {
    if (is_blank(answer)) continue;
    if (!text.empty()) text += kBetween;
    text += answer;
  }
  return text;
}

std::string answer_of(const TaskResult& result) {
  return result.text ? result.text->text : result.label ? result.label->label : "";
}

void add(Usage& sum, const Usage& usage) {
  sum.prompt_tokens += usage.prompt_tokens;
  sum.cached_tokens += usage.cached_tokens;
  sum.computed_tokens += usage.computed_tokens;
  sum.completion_tokens += usage.completion_tokens;
}

}  // namespace

Result<LongTask> LongTask::make(std::shared_ptr<const TaskBook> book, const Task& task,
                                const JobRequest& request, const WorkOrders& orders) {
  TANDEM_ASSERT(task.split.has_value(), "only a task that splits has long texts");
  LongTask made(std::move(book), task, orders);
  made.asked_.tasks = {task.name, task.split->map};  // two: not every variable has to be known to every part
  made.asked_.variables = request.variables;
  made.asked_.accept = request.accept;
  made.asked_.store = request.store;
  made.asked_.cache_namespace = request.cache_namespace;
  made.internal_ = made.asked_;
  made.asked_.decode = request.decode;
  made.sums_ = orders.blank_result(task);
  made.sums_.task_fingerprint = task.split->fingerprint;
  made.sums_.source = AnswerSource::kExact;  // until a part comes from the model
  TANDEM_TRY(made.make_pieces(request));
  return made;
}

const Task& LongTask::part_task(bool reduces) const {
  const auto found = book_->find(reduces ? task_->split->reduce : task_->split->map);
  TANDEM_ASSERT(found.has_value(), "a book has the tasks that its tasks name");
  return **found;
}

Result<void> LongTask::make_pieces(const JobRequest& request) {
  const Split& split = *task_->split;
  const Task& map = part_task(false);
  TANDEM_ASSIGN(size_t tokens_max, orders_->text_tokens_max(map, internal_));
  if (tokens_max < setting_limits::kPieceTokensMin) {
    return fail(ErrorCode::kTooLong, "text: expected a model with room for pieces of " +
                                         std::to_string(setting_limits::kPieceTokensMin) +
                                         " tokens in a prompt of task '" + map.name + "', found room for " +
                                         std::to_string(tokens_max));
  }
  if (split.tokens_max > 0) tokens_max = std::min<size_t>(tokens_max, split.tokens_max);
  SplitLimits limits{
      .chars_max = split.chars_max, .tokens_max = tokens_max, .overlap_chars = split.overlap_chars};
  if (map.input_chars_max > 0) limits.chars_max = std::min<size_t>(limits.chars_max, map.input_chars_max);
  limits.overlap_chars = std::min(limits.overlap_chars, limits.chars_max / 2);

  const std::string_view text = trim_blank(request.text);
  std::vector<std::string> texts;
  for (const TextPiece& piece :
       split_text(text, limits, [&](std::string_view part) { return orders_->n_tokens(part); })) {
    const std::string_view own = text.substr(piece.begin, piece.end - piece.begin);
    if (is_blank(own)) continue;  // pages of nothing
    texts.emplace_back(text.substr(piece.overlap_begin, piece.end - piece.overlap_begin));
    labels_.push_back({{}, static_cast<double>(utf8_length(own))});
  }
  n_pieces_ = texts.size();
  if (n_pieces_ > split.pieces_max) {
    return fail(ErrorCode::kTooLong, "text: expected one of at most " + std::to_string(split.pieces_max) +
                                         " pieces for task '" + task_->name + "' (split.pieces_max), found " +
                                         std::to_string(n_pieces_));
  }
  sums_.pieces = static_cast<uint32_t>(n_pieces_);
  begin_level(std::move(texts), false, false);
  return {};
}

void LongTask::begin_level(std::vector<std::string> texts, bool reduces, bool is_last) {
  const auto first_number = static_cast<uint32_t>(level_.first_number + level_.texts.size());
  level_ = {};
  level_.reduces = reduces;
  level_.is_last = is_last;
  level_.first_number = first_number;
  level_.n_open = texts.size();
  level_.answers.resize(texts.size());
  level_.texts = std::move(texts);
  ++n_levels_;
}

std::optional<LongTask::Part> LongTask::next() {
  while (!outcome_ && level_.n_asked < level_.texts.size() && level_.answers[level_.n_asked])
    ++level_.n_asked;
  if (outcome_ || n_in_air_ >= kPartsAtOnceMax || level_.n_asked == level_.texts.size()) return std::nullopt;
  const size_t place = level_.n_asked++;
  ++n_in_air_;
  JobRequest& request = level_.is_last ? asked_ : internal_;
  request.text = std::move(level_.texts[place]);
  return Part{.number = static_cast<uint32_t>(level_.first_number + place),
              .task = part_task(level_.reduces).name,
              .is_last = level_.is_last,
              .request = &request};
}

std::string LongTask::place_of(uint32_t number) const {
  const std::string nth =
      std::to_string(number - level_.first_number + 1) + " of " + std::to_string(level_.texts.size());
  if (!level_.reduces) return "piece " + nth;
  return level_.is_last ? "the answers of " + std::to_string(n_pieces_) + " pieces joined"
                        : "the answers of pieces, group " + nth;
}

void LongTask::take(uint32_t number, const TaskResult& result) {
  if (outcome_) return;  // another part ended it
  TANDEM_ASSERT(number >= level_.first_number && number - level_.first_number < level_.n_asked,
                "a level begins when the one before it is complete");
  --n_in_air_;
  if (result.error) {
    TaskResult failed = sums_;
    failed.error = Error{result.error->code, place_of(number) + ": " + result.error->text};
    return finish(std::move(failed));
  }
  add(sums_.usage, result.usage);
  sums_.timings.prefill_us += result.timings.prefill_us;
  sums_.timings.decode_us += result.timings.decode_us;
  if (result.source == AnswerSource::kModel) {
    if (!begun_) sums_.timings.queue_us = result.timings.queue_us;
    sums_.source = AnswerSource::kModel;
    begun_ = true;
  }
  sums_.cut |= result.cut;
  sums_.batch_size = result.batch_size;
  if (level_.is_last) {
    TaskResult whole = sums_;
    whole.text = result.text;
    whole.label = result.label;
    return finish(std::move(whole));
  }
  if (result.text) sound_ &= result.text->finish_reason != "repetition" && !is_refusal(result.text->text);
  const size_t place = number - level_.first_number;
  if (!level_.reduces && result.label) labels_[place].answer = *result.label;
  level_.answers[place] = answer_of(result);
  if (--level_.n_open == 0) finish_level();
}

void LongTask::finish_level() {
  if (task_->split->reduce.empty()) {
    TaskResult whole = sums_;
    whole.label = label_mean(*task_, labels_);
    return finish(std::move(whole));
  }
  std::vector<std::string> answers;
  for (std::optional<std::string>& answer : level_.answers) answers.push_back(std::move(*answer));
  if (auto begun = reduce(std::move(answers)); !begun) {
    TaskResult failed = sums_;
    failed.error = std::move(begun).error();
    finish(std::move(failed));
  }
}

// All answers in one prompt, or as many as go into one, and then their answers.
Result<void> LongTask::reduce(std::vector<std::string> answers) {
  const Task& task = part_task(true);
  std::string all = joined(answers);
  if (all.empty() && task_->answer == AnswerKind::kText) {  // nothing was said of any piece
    TaskResult whole = sums_;
    whole.text = TextAnswer{"", "stop"};
    finish(std::move(whole));
    return {};
  }
  const auto fits = [&](std::string_view text, size_t tokens_max) {
    return (task.input_chars_max == 0 || utf8_length(text) <= task.input_chars_max) &&
           orders_->n_tokens(text) <= tokens_max;
  };
  TANDEM_ASSIGN(const size_t last_max, orders_->text_tokens_max(task, asked_));
  if (fits(all, last_max)) {
    begin_level({std::move(all)}, true, true);
    return {};
  }

  // Groups by content as pieces are: what did not change is in the same group as before.
  TANDEM_ASSIGN(const size_t tokens_max, orders_->text_tokens_max(task, internal_));
  std::vector<GroupUnit> units;
  size_t largest = 0;
  for (const std::string& answer : answers) {
    size_t size = orders_->n_tokens(answer) + orders_->n_tokens(kBetween);
    if (task.input_chars_max > 0) {  // in tokens' worth of characters
      const size_t chars = utf8_length(answer) + kBetween.size();
      size = std::max(size, (chars * tokens_max + task.input_chars_max - 1) / task.input_chars_max);
    }
    largest = std::max(largest, size);
    units.push_back({size, 0, hash128(answer).low64()});
  }
  std::vector<std::string> texts;
  std::vector<bool> is_done;
  size_t begin = 0;
  for (const size_t end : content_defined_groups(units, tokens_max)) {
    texts.push_back(joined(std::span(answers).subspan(begin, end - begin)));
    is_done.push_back(end - begin == 1 || texts.back().empty());
    begin = end;
  }
  if (texts.size() >= answers.size() || n_levels_ > kLevelsMax) {
    return fail(ErrorCode::kTooLong, "the answers of pieces: expected several to fit into the " +
                                         std::to_string(tokens_max) + " tokens of a text of task '" +
                                         task.name + "', found answers of up to " + std::to_string(largest) +
                                         "; shorter answers (decode.tokens_max of the map task) help");
  }
  begin_level(std::move(texts), true, false);
  for (size_t i = 0; i < is_done.size(); ++i) {  // an answer that is alone goes on as it is
    if (!is_done[i]) continue;
    level_.answers[i] = level_.texts[i];
    --level_.n_open;
  }
  if (level_.n_open == 0) finish_level();  // groups of empty answers, which nobody has to be asked for
  return {};
}

void LongTask::finish(TaskResult result) {
  level_.texts.clear();
  level_.answers.clear();
  outcome_ = std::move(result);
}

}  // namespace tandem
