// tandem chat: a conversation. The sentiment of what was said is shown at once, then the reply as it is
// written.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <deque>
#include <memory>

#include "client/cli/job_options.h"
#include "client/cli/line_reader.h"
#include "client/cli/one_job.h"
#include "client/cli/program.h"
#include "client/cli/queue_options.h"
#include "client/cli/row.h"
#include "client/cli/width.h"
#include "shared/base/format.h"
#include "shared/base/limits.h"
#include "shared/base/utf8.h"

namespace tandem::cli {
namespace {

struct ChatOptions {
  std::string sentiment = "auto";
  std::string reply = "reply";
  size_t turns_max = 10;
  bool json = false;
  JobOptions job;
  QueueOptions queue;
  ConnectionOptions connection;
};

constexpr const char* kExamples =
    R"(In the conversation: /reset forgets what was said, /quit (or Ctrl-D) ends.
Where standard input is a pipe, every line is a turn, and no prompts are printed.

Examples:
  tandem chat
  tandem chat --model ~/models/Qwen1.5-0.5B-Chat --temperature 0.9
  printf 'hello\nhow are you?\n' | tandem chat)";

// Chinese characters decide which of the two sentiment tasks reads the text.
bool has_han(std::string_view text) {
  for (size_t i = 0; i + 2 < text.size(); ++i) {
    const auto a = static_cast<unsigned char>(text[i]), b = static_cast<unsigned char>(text[i + 1]);
    if ((a >= 0xE4 && a <= 0xE9) || (a == 0xE3 && b >= 0x90)) return true;  // U+3400.. to U+9FFF
  }
  return false;
}

// Shows a job's answers as they come: whole results in the order of the tasks, the deltas of texts at once.
class TurnPrinter {
 public:
  explicit TurnPrinter(bool colours) : colours_(colours) {}

  void on_part(const PartEvent& event) {
    if (event.attempt > attempt_ && shown_bytes_ > 0) std::fputs("\n", stdout);  // another worker begins anew
    if (event.attempt > attempt_) shown_bytes_ = 0;
    attempt_ = event.attempt;
    if (event.part.result) {
      show_result(event.part.task_index, *event.part.result);
    } else if (!event.part.delta.empty() && !finished_[event.part.task_index]) {
      text_ += event.part.delta;
      shown_bytes_ += event.part.delta.size();
      say(event.part.delta);
      std::fflush(stdout);
    }
  }

  // What the parts did not bring.
  void on_result(const JobResult& result) {
    for (size_t i = 0; i < result.tasks.size(); ++i) show_result(static_cast<uint32_t>(i), result.tasks[i]);
  }

 private:
  static void say(std::string_view text) {
    const std::string out = shown(text, STDOUT_FILENO);
    std::fwrite(out.data(), 1, out.size(), stdout);
  }

  void show_result(uint32_t index, const TaskResult& task) {
    if (std::exchange(finished_[index], true)) return;
    if (task.text && !task.error && shown_bytes_ > 0) {
      // The deltas were shown; what is missing of the whole is its end, unless one was lost.
      if (task.text->text.starts_with(text_)) {
        say(std::string_view(task.text->text).substr(text_.size()));
      } else {
        std::fputs("\n", stdout);
        say(task.text->text);
      }
      std::fputs("\n", stdout);
    } else if (task.label) {
      std::printf("%s\n", dim(shown(answer_text(task), STDOUT_FILENO), colours_).c_str());
    } else {
      say(answer_text(task) + "\n");
    }
    std::fflush(stdout);
    text_.clear();
    shown_bytes_ = 0;
  }

  const bool colours_;
  uint32_t attempt_ = 0;
  size_t shown_bytes_ = 0;
  std::string text_;
  std::map<uint32_t, bool> finished_;
};

class Chat {
 public:
  Chat(const ChatOptions& options, JobRequest defaults, SubmitOptions queue, Connection& connection,
       std::function<bool()> stop)
      : options_(options),
        defaults_(std::move(defaults)),
        queue_(std::move(queue)),
        connection_(connection),
        stop_(std::move(stop)) {}

  Result<void> turn(std::string text) {
    JobRequest job = defaults_;
    job.tasks.clear();
    if (options_.sentiment == "auto") {
      job.tasks.push_back(has_han(text) ? "sentiment-zh" : "sentiment");
    } else if (options_.sentiment != "none") {
      job.tasks.push_back(options_.sentiment);
    }
    job.tasks.push_back(options_.reply);
    job.stream = true;
    job.history.assign(history_.begin(), history_.end());
    job.text = text;

    TurnPrinter printer(colours_welcome(STDOUT_FILENO));
    const auto result = do_one_job(connection_, job, queue_, stop_, [&](const PartEvent& event) {
      if (!options_.json) printer.on_part(event);
    });
    if (options_.json) {
      std::printf("%s\n", results_json(result, {}).c_str());
      std::fflush(stdout);
    }
    if (!result) return fail(result.error());
    if (!options_.json) printer.on_result(*result);
    const TaskResult& reply = result->tasks.back();
    if (reply.text) {
      history_.push_back({"user", std::move(text)});
      history_.push_back({"assistant", reply.text->text});
    }
    while (history_.size() > 2 * options_.turns_max) history_.pop_front();
    return {};
  }

  void reset() { history_.clear(); }

 private:
  const ChatOptions& options_;
  const JobRequest defaults_;
  const SubmitOptions queue_;
  Connection& connection_;
  std::function<bool()> stop_;
  std::deque<ChatTurn> history_;
};

int chat(const ChatOptions& options, Program& program) {
  auto job = make_job(options.job);
  if (!job) return complain("chat", job.error(), kUsage);
  const auto queue = make_submit_options(options.queue);
  if (!queue) return complain("chat", queue.error(), kUsage);
  const auto stop = [&] { return program.stop.requested(); };
  const bool talks = ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0;

  auto in = LineReader::open("-", limits::kTextBytesMax);
  if (!in) return complain("chat", in.error(), kUsage);
  if (talks) std::fputs("starting...", stderr);
  ClientOptions client;
  client.urgency = Urgency::kInteractive;
  auto connection = Connection::open(options.connection, true, client, stop);
  if (talks) std::fputs("\r\033[K", stderr);
  if (!connection) return complain("chat", connection.error(), exit_code_of(connection.error()));
  if (talks) std::printf("Say something. /reset forgets, /quit ends.\n");

  Chat conversation(options, *job, *queue, *connection, stop);
  int exit_code = kGood;
  while (!stop()) {
    if (talks) std::printf("%s", bold("you> ", colours_welcome(STDOUT_FILENO)).c_str());
    std::fflush(stdout);
    auto line = in->next();
    if (!line) return complain("chat", line.error(), kUsage);
    if (in->interrupted()) continue;
    if (!*line) break;
    std::string text = utf8_lossy((*line)->text);
    while (!text.empty() && text.back() == '\r') text.pop_back();
    if (text == "/quit" || text == "/exit") break;
    if (text == "/reset") {
      conversation.reset();
      if (talks) std::printf("(forgotten)\n");
      continue;
    }
    if (text.starts_with('/') && talks) {
      std::printf("expected /reset or /quit\n");
      continue;
    }
    auto said = (*line)->too_long ? fail(ErrorCode::kTooLong, "expected a shorter text")
                                  : conversation.turn(std::move(text));
    if (!said) {
      exit_code = said.error().code == ErrorCode::kCancelled ? kInterrupted : kSomeFailed;
      if (!stop()) complain("chat", said.error(), 0);
      const int code = exit_code_of(said.error());
      if (code == kNoBroker || code == kBroken) return code;
    }
  }
  if (talks) std::printf("\n");
  return stop() ? kInterrupted : exit_code;
}

}  // namespace

void add_chat(CLI::App& app, Program& program) {
  const auto options = std::make_shared<ChatOptions>();
  options->job.tasks = "reply";
  CLI::App* verb = app.add_subcommand("chat", "A conversation, with the sentiment of what you say");
  verb->add_option("--sentiment", options->sentiment,
                   "Task that reads your text first; auto chooses by language, none leaves it out")
      ->type_name("TASK")
      ->capture_default_str();
  verb->add_option("--reply", options->reply, "Task that answers")->type_name("TASK")->capture_default_str();
  verb->add_option("--turns", options->turns_max, "Turns that are remembered")
      ->check(CLI::Range(0, static_cast<int>(limits::kHistoryTurnsMax / 2)))
      ->capture_default_str();
  verb->add_flag("--json", options->json, "A line of JSON for each turn");
  add_sampling_options(*verb, options->job);
  add_queue_options(*verb, options->queue, false);
  add_connection_options(*verb, options->connection, true);
  verb->footer(kExamples);
  verb->callback([options, &program] { program.exit_code = chat(*options, program); });
}

}  // namespace tandem::cli
