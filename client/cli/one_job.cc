#include "client/cli/one_job.h"

#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "client/cli/program.h"
#include "client/cli/width.h"
#include "client/cli/worker_watch.h"
#include "shared/base/format.h"

namespace tandem::cli {
namespace {

constexpr Duration kCallOffPatience = std::chrono::seconds(1);

// Waits until `done` is content with an event, or with what accepted() says.
class Wait {
 public:
  Wait(Connection& connection, JobId id, Duration patience)
      : connection_(connection), id_(id), patience_(patience), heard_at_(clock_.now()) {}

  // What came meanwhile; an error ends the waiting.
  Result<std::vector<ClientEvent>> turn(const std::function<bool()>& stop) {
    Client& client = connection_.client();
    std::vector<ClientEvent> events = client.wait(milliseconds(100));
    n_heard_ += events.size();
    if (!events.empty()) return events;
    if (stop()) {
      call_off();
      return fail(ErrorCode::kCancelled, "interrupted");
    }
    TANDEM_TRY(connection_.alive());
    tell_if_held_back();
    if (!client.held_back() && workers_.nobody_works(client, n_heard_, clock_.now())) {
      std::fprintf(stderr, "%s\n", kNobodyWorks);
    }
    if (client.broker_seen()) heard_at_ = clock_.now();
    if (clock_.now() - heard_at_ > patience_) {
      return fail(ErrorCode::kUnavailable, "the broker stopped answering; job " + id_.to_string() +
                                               " may still be done when it is back");
    }
    return events;
  }

 private:
  // Waits for its outcome, which the broker would keep otherwise.
  void call_off() {
    Client& client = connection_.client();
    (void)client.cancel({id_});
    const TimePoint until = clock_.now() + kCallOffPatience;
    while (connection_.alive() && clock_.now() < until) {
      for (const ClientEvent& event : client.wait(milliseconds(50))) {
        const auto* outcome = std::get_if<Outcome>(&event);
        if (outcome != nullptr && outcome->id == id_) return;
      }
    }
  }

  void tell_if_held_back() {
    const auto notice = connection_.client().held_back();
    if (!notice || std::exchange(told_, true)) return;
    std::fprintf(stderr, "broker full: %s; waiting\n", printable(notice->text).c_str());
  }

  SystemClock clock_;
  Connection& connection_;
  const JobId id_;
  const Duration patience_;
  TimePoint heard_at_;
  uint64_t n_heard_ = 0;
  bool told_ = false;
  WorkerWatch workers_;
};

}  // namespace

Result<JobResult> do_one_job(Connection& connection, const JobRequest& request, const SubmitOptions& queue,
                             const std::function<bool()>& stop,
                             const std::function<void(const PartEvent&)>& on_part, Duration patience) {
  TANDEM_ASSIGN(const JobId id, connection.client().submit(request, queue));
  Wait wait(connection, id, patience);
  for (;;) {
    TANDEM_ASSIGN(std::vector<ClientEvent> events, wait.turn(stop));
    for (ClientEvent& event : events) {
      if (auto* outcome = std::get_if<Outcome>(&event); outcome != nullptr && outcome->id == id) {
        return std::move(outcome->result);
      }
      const auto* part = std::get_if<PartEvent>(&event);
      if (part != nullptr && part->id == id && on_part) on_part(*part);
    }
  }
}

Result<JobId> leave_one_job(Connection& connection, const JobRequest& request, const SubmitOptions& queue,
                            const std::function<bool()>& stop, Duration patience) {
  TANDEM_ASSIGN(const JobId id, connection.client().submit(request, queue));
  Wait wait(connection, id, patience);
  while (!connection.client().accepted(id)) {
    TANDEM_ASSIGN(const std::vector<ClientEvent> events, wait.turn(stop));
    for (const ClientEvent& event : events) {
      const auto* outcome = std::get_if<Outcome>(&event);
      if (outcome == nullptr || outcome->id != id) continue;
      if (!outcome->result && outcome->attempt == 0) return fail(outcome->result.error());  // never accepted
      return id;
    }
  }
  return id;
}

std::string answer_text(const TaskResult& task) {
  if (task.error) return fmt::format("error ({}): {}", to_string(task.error->code), task.error->text);
  if (task.text) return task.text->text;
  if (!task.label) return "";
  if (task.label->label.empty()) return "no label: " + task.label->reason;
  const std::string& shown = task.label->display.empty() ? task.label->label : task.label->display;
  return fmt::format("{}  {:.2f}", shown, task.label->probability);
}

void print_result(const JobResult& result) {
  const bool colours = colours_welcome(STDOUT_FILENO);
  size_t width = 0;
  for (const TaskResult& task : result.tasks) width = std::max(width, display_width(printable(task.task)));
  for (const TaskResult& task : result.tasks) {
    std::cout << bold(fit_to_width(printable(task.task), width), colours) << "  "
              << shown(answer_text(task), STDOUT_FILENO);
    if (!task.error) {
      std::cout << "  "
                << dim(fmt::format("({}, {:.0f} ms)", to_string(task.source),
                                   static_cast<double>(task.timings.total_us) / 1000),
                       colours);
    }
    std::cout << "\n";
  }
}

}  // namespace tandem::cli
