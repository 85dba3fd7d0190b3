#include "client/cli/one_job.h"

#include "shared/base/format.h"

namespace tandem::cli {

Result<JobResult> do_one_job(Connection& connection, const JobRequest& request,
                             const std::function<bool()>& stop,
                             const std::function<void(const PartEvent&)>& on_part, Duration patience) {
  Client& client = connection.client();
  TANDEM_ASSIGN(const JobId id, client.submit(request));
  const SystemClock clock;
  TimePoint heard_at = clock.now();
  for (;;) {
    for (ClientEvent& event : client.wait(milliseconds(100))) {
      if (auto* outcome = std::get_if<Outcome>(&event); outcome != nullptr && outcome->id == id) {
        return std::move(outcome->result);
      }
      const auto* part = std::get_if<PartEvent>(&event);
      if (part != nullptr && part->id == id && on_part) on_part(*part);
    }
    if (stop()) {
      (void)client.cancel({id});
      (void)client.wait(milliseconds(20));
      return fail(ErrorCode::kCancelled, "interrupted");
    }
    TANDEM_TRY(connection.alive());
    if (client.broker_seen()) heard_at = clock.now();
    if (clock.now() - heard_at > patience) {
      return fail(ErrorCode::kUnavailable, "the broker stopped answering; job " + id.to_string() +
                                               " may still be done when it is back");
    }
  }
}

std::string answer_text(const TaskResult& task) {
  if (task.error) return fmt::format("error ({}): {}", to_string(task.error->code), task.error->text);
  if (task.text) return task.text->text;
  if (!task.label) return "";
  if (task.label->label.empty()) return "no label: " + task.label->reason;
  const std::string& shown = task.label->display.empty() ? task.label->label : task.label->display;
  return fmt::format("{}  {:.2f}", shown, task.label->probability);
}

}  // namespace tandem::cli
