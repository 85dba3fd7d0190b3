#include "client/cli/queue_json.h"

#include <nlohmann/json.hpp>

#include "client/cli/row.h"

namespace tandem::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string to_text(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Json error_json(const Error& error) {
  return {{"code", to_string(error.code)}, {"message", error.text}};
}

Json job_json(const JobStatus& job) {
  return {{"id", job.id.to_string()},
          {"client", job.client},
          {"state", to_string(job.state)},
          {"attempt", job.attempt},
          {"age_ms", job.age_ms},
          {"worker", job.worker},
          {"urgency", to_string(job.urgency)},
          {"priority", job.priority},
          {"cost", job.cost},
          {"bytes", job.payload_bytes},
          {"delay_ms", job.delay_ms},
          {"ttl_ms", job.ttl_ms},
          {"place", job.place}};
}

Json request_json(const JobRequest& request) {
  Json out = {{"text", request.text}, {"tasks", request.tasks}};
  for (const ChatTurn& turn : request.history)
    out["history"].push_back({{"role", turn.role}, {"content", turn.text}});
  if (!request.variables.empty()) out["variables"] = request.variables;
  if (!request.cache_namespace.empty()) out["namespace"] = request.cache_namespace;
  return out;
}

}  // namespace

std::string status_json(const StatusReply& status, const std::vector<JobStatus>* jobs) {
  Json out = {{"ready", status.ready},
              {"delayed", status.delayed},
              {"leased", status.leased},
              {"finished_kept", status.finished_kept},
              {"dead_kept", status.dead_kept},
              {"oldest_ready_ms", status.oldest_ready_ms},
              {"accepted_total", status.accepted_total},
              {"finished_total", status.finished_total},
              {"failed_total", status.failed_total},
              {"redelivered_total", status.redelivered_total},
              {"joined_total", status.joined_total},
              {"uptime_ms", status.uptime_ms},
              {"journal_bytes", status.journal_bytes},
              {"journal_bytes_max", status.journal_bytes_max},
              {"workers", Json::array()},
              {"clients", Json::array()}};
  for (const WorkerStatus& worker : status.workers) {
    out["workers"].push_back({{"name", worker.name},
                              {"host", worker.host},
                              {"model", worker.model},
                              {"credit_max", worker.credit_max},
                              {"leased", worker.leased},
                              {"finished", worker.finished},
                              {"cost_max", worker.cost_max},
                              {"cost_leased", worker.cost_leased},
                              {"draining", worker.is_draining},
                              {"silent_ms", worker.silent_ms},
                              {"tasks", worker.tasks}});
  }
  for (const ClientStatus& client : status.clients) {
    out["clients"].push_back({{"name", client.name},
                              {"unfinished", client.unfinished},
                              {"unfinished_bytes", client.unfinished_bytes},
                              {"unacknowledged", client.unacknowledged}});
  }
  if (jobs != nullptr) {
    out["jobs"] = Json::array();
    for (const JobStatus& job : *jobs) out["jobs"].push_back(job_json(job));
  }
  return to_text(out, jobs != nullptr ? 2 : -1);
}

std::string dead_json(const std::vector<DeadJob>& jobs) {
  Json out = Json::array();
  for (const DeadJob& job : jobs) {
    out.push_back(job_json(job.status));
    out.back()["error"] = error_json(job.error);
  }
  return to_text(out, 2);
}

std::string inspected_json(const Inspected& job) {
  Json out = job_json(job.job);
  if (const auto request = decode_job_request(job.asked)) {
    out["request"] = request_json(*request);
  } else {
    out["request"] = {{"error", error_json(request.error())}};
  }
  if (!job.error.text.empty()) {
    out["error"] = error_json(job.error);
  } else if (job.job.state == JobState::kDone) {
    out.update(Json::parse(results_json(decode_job_result(job.answered), {})));
  }
  return to_text(out, 2);
}

std::string fetched_json(const FetchedItem& item, bool details) {
  Json out = {{"id", item.id.to_string()}, {"state", to_string(item.state)}, {"attempt", item.attempt}};
  if (is_finished(item.state)) out.update(Json::parse(results_json(outcome_of(item), {details})));
  return to_text(out, -1);
}

std::string acted_json(const std::string& done, const Acted& acted) {
  Json out = {{done, acted.n_done}, {"already", Json::object()}, {"errors", Json::array()}};
  for (const auto& [state, n] : acted.already) out["already"][std::string(to_string(state))] = n;
  for (const AcceptedItem& item : acted.refused) {
    out["errors"].push_back(error_json(item.error));
    out["errors"].back()["id"] = item.id.to_string();
  }
  return to_text(out, -1);
}

std::string id_json(const JobId& id) {
  return to_text({{"id", id.to_string()}}, -1);
}

}  // namespace tandem::cli
