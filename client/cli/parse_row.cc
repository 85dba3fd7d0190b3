// Input: JSON text to a job. Every rule that a line can break is here or in decode_job_request().

#include <limits>
#include <nlohmann/json.hpp>

#include "client/cli/row.h"
#include "shared/base/limits.h"
#include "shared/base/utf8.h"

namespace tandem::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kDepthMax = 64;
constexpr size_t kQuotedMax = 60;  // of what was found, in an error

std::string found(const Json& value) {
  if (value.is_string())
    return "a string of " + std::to_string(value.get_ref<const std::string&>().size()) + " bytes";
  if (value.is_array()) return "a list of " + std::to_string(value.size());
  if (value.is_object()) return "an object";
  return value.dump();
}

tl::unexpected<Error> expected(const std::string& what, const Json& value, const std::string& field) {
  return fail(ErrorCode::kInvalid, field + ": expected " + what + ", found " + found(value));
}

Result<std::string> read_text(const Json& value, const std::string& field) {
  if (!value.is_string()) return expected("a string", value, field);
  const std::string& text = value.get_ref<const std::string&>();
  if (text.size() > limits::kTextBytesMax) {
    return fail(ErrorCode::kTooLong, field + ": expected at most " + std::to_string(limits::kTextBytesMax) +
                                         " bytes, found " + std::to_string(text.size()));
  }
  return text;
}

// Not beyond 2^53 in a double; integers as they are written.
Result<uint64_t> read_count(const Json& value, uint64_t max, const std::string& field) {
  if (value.is_number_unsigned() && value.get<uint64_t>() <= max) return value.get<uint64_t>();
  return expected("a whole number from 0 to " + std::to_string(max), value, field);
}

Result<double> read_real(const Json& value, const std::string& field) {
  if (!value.is_number()) return expected("a number", value, field);
  const double number = value.get<double>();
  if (number < 0) return expected("a number that is not negative", value, field);
  return number;
}

Result<std::vector<std::string>> read_list(const Json& value, const std::string& field) {
  if (!value.is_array()) return expected("a list of strings", value, field);
  std::vector<std::string> texts;
  for (size_t i = 0; i < value.size(); ++i) {
    TANDEM_ASSIGN(std::string text, read_text(value[i], field + "[" + std::to_string(i) + "]"));
    texts.push_back(std::move(text));
  }
  return texts;
}

// Whether `name` is one of the settings; sets it when it is.
Result<bool> read_setting(const std::string& name, const Json& value, const std::string& field,
                          JobRequest& job) {
  constexpr uint64_t kUint32Max = std::numeric_limits<uint32_t>::max();
  const auto count = [&](std::optional<uint32_t>& out) -> Result<bool> {
    TANDEM_ASSIGN(const uint64_t number, read_count(value, kUint32Max, field));
    out = static_cast<uint32_t>(number);
    return true;
  };
  const auto real = [&](std::optional<double>& out) -> Result<bool> {
    TANDEM_ASSIGN(out, read_real(value, field));
    return true;
  };
  DecodeOverrides& decode = job.decode;
  if (name == "max_tokens") return count(decode.tokens_max);
  if (name == "temperature") return real(decode.temperature);
  if (name == "top_k") return count(decode.top_k);
  if (name == "top_p") return real(decode.top_p);
  if (name == "repetition_penalty") return real(decode.repetition_penalty);
  if (name == "no_repeat_ngram") return count(decode.no_repeat_ngram);
  if (name == "seed") {
    TANDEM_ASSIGN(decode.seed, read_count(value, std::numeric_limits<uint64_t>::max(), field));
    return true;
  }
  if (name == "stop") {
    if (value.is_string()) {
      decode.stop = std::vector<std::string>{value.get<std::string>()};
    } else {
      TANDEM_ASSIGN(decode.stop, read_list(value, field));
    }
    return true;
  }
  if (name == "accept") {
    if (value == "any") {
      job.accept = AcceptSource::kAny;
    } else if (value == "exact") {
      job.accept = AcceptSource::kExact;
    } else if (value == "model") {
      job.accept = AcceptSource::kModel;
    } else {
      return fail(ErrorCode::kInvalid, field + ": expected \"any\", \"exact\" or \"model\", found " +
                                           value.dump().substr(0, kQuotedMax));
    }
    return true;
  }
  if (name == "store") {
    if (!value.is_boolean()) return expected("true or false", value, field);
    job.store = value.get<bool>();
    return true;
  }
  if (name == "namespace") {
    TANDEM_ASSIGN(job.cache_namespace, read_text(value, field));
    return true;
  }
  return false;
}

Result<void> read_messages(const Json& value, JobRequest& job) {
  if (!value.is_array() || value.empty()) return expected("a list of messages", value, "messages");
  for (size_t i = 0; i < value.size(); ++i) {
    const Json& message = value[i];
    const std::string field = "messages[" + std::to_string(i) + "]";
    if (!message.is_object() || !message.contains("role") || !message.contains("content")) {
      return expected("an object with \"role\" and \"content\"", message, field);
    }
    TANDEM_ASSIGN(std::string role, read_text(message["role"], field + ".role"));
    TANDEM_ASSIGN(std::string content, read_text(message["content"], field + ".content"));
    if (role != "system" && role != "user" && role != "assistant") {
      return fail(ErrorCode::kInvalid, field + ".role: expected system, user or assistant, found '" +
                                           role.substr(0, kQuotedMax) + "'");
    }
    if (i + 1 < value.size()) {
      job.history.push_back({std::move(role), std::move(content)});
    } else if (role != "user") {
      return fail(ErrorCode::kInvalid, field + ".role: expected user in the last message, found " + role);
    } else {
      job.text = std::move(content);
    }
  }
  return {};
}

Result<void> read_variables(const Json& value, JobRequest& job) {
  if (!value.is_object()) return expected("an object of strings", value, "variables");
  for (const auto& [name, content] : value.items()) {
    TANDEM_ASSIGN(job.variables[name], read_text(content, "variables." + name));
  }
  return {};
}

Result<void> read_options(const Json& value, JobRequest& job) {
  if (!value.is_object()) return expected("an object", value, "options");
  for (const auto& [name, setting] : value.items()) {
    TANDEM_ASSIGN(const bool known, read_setting(name, setting, "options." + name, job));
    if (!known) {
      return fail(
          ErrorCode::kInvalid,
          "options: expected max_tokens, temperature, top_k, top_p, repetition_penalty, no_repeat_ngram, "
          "seed, stop, accept, store or namespace, found '" +
              name.substr(0, kQuotedMax) + "'");
    }
  }
  return {};
}

Result<JobRequest> read_job(const Json& object, const JobRequest& defaults) {
  JobRequest job = defaults;
  std::string text_field, task_field;
  // Exactly one of the fields that say the same thing.
  const auto only = [](std::string& seen, const std::string& name) -> Result<void> {
    if (!seen.empty())
      return fail(ErrorCode::kInvalid, "expected either " + seen + " or " + name + ", found both");
    seen = name;
    return {};
  };
  for (const auto& [name, value] : object.items()) {
    if (name == "id") {
      if (!value.is_string() && !value.is_number_integer())
        return expected("a string or a whole number", value, name);
    } else if (name == "text" || name == "prompt") {
      TANDEM_TRY(only(text_field, name));
      TANDEM_ASSIGN(job.text, read_text(value, name));
      if (job.text.empty())
        return fail(ErrorCode::kInvalid, name + ": expected some text, found an empty string");
    } else if (name == "messages") {
      TANDEM_TRY(only(text_field, name));
      TANDEM_TRY(read_messages(value, job));
    } else if (name == "task") {
      TANDEM_TRY(only(task_field, name));
      TANDEM_ASSIGN(std::string task, read_text(value, name));
      job.tasks = {std::move(task)};
    } else if (name == "tasks") {
      TANDEM_TRY(only(task_field, name));
      TANDEM_ASSIGN(job.tasks, read_list(value, name));
      if (job.tasks.empty()) return expected("at least one task", value, name);
    } else if (name == "variables") {
      TANDEM_TRY(read_variables(value, job));
    } else if (name == "options") {
      TANDEM_TRY(read_options(value, job));
    } else {
      TANDEM_TRY(read_setting(name, value, name, job));  // a field that it does not know is carried through
    }
  }
  if (text_field.empty()) {
    return fail(ErrorCode::kInvalid,
                "expected a field \"text\", \"prompt\" or \"messages\", found none of them");
  }
  return job;
}

// Before anything is built: what is nested deeper than any real row would cost stack later.
size_t nesting(std::string_view text) {
  size_t depth = 0, deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

// "syntax error while parsing value - invalid literal; last read: ..." without the library's own prefix.
std::string reason(const nlohmann::json::parse_error& error) {
  std::string text = error.what();
  const size_t start = text.find(": ");
  if (start != std::string::npos) text.erase(0, start + 2);
  const size_t quoted = text.find("; last read");
  if (quoted != std::string::npos && text.size() > quoted + 120) text.resize(quoted);
  return "column " + std::to_string(error.byte) + ": " + text;
}

Result<Json> read_object(std::string_view text) try {
  if (const auto valid = check_utf8(text); !valid) return fail(valid.error());
  if (nesting(text) > kDepthMax) {
    return fail(ErrorCode::kInvalid, "expected JSON nested at most " + std::to_string(kDepthMax) +
                                         " deep, found " + std::to_string(nesting(text)));
  }
  Json value = Json::parse(text);
  if (!value.is_object()) return fail(ErrorCode::kInvalid, "expected a JSON object, found " + found(value));
  return value;
} catch (const nlohmann::json::exception& error) {
  if (const auto* parse_error = dynamic_cast<const nlohmann::json::parse_error*>(&error)) {
    return fail(ErrorCode::kInvalid, "expected a JSON object, found broken JSON at " + reason(*parse_error));
  }
  return fail(ErrorCode::kInvalid, std::string("expected a JSON object: ") + error.what());
}

}  // namespace

InputRow unreadable_row(size_t line, Error error) {
  return {line, Json{{"line", line}}.dump(), fail(std::move(error))};
}

InputRow parse_row(std::string_view text, size_t line, const JobRequest& defaults) {
  auto object = read_object(text);
  if (!object) return unreadable_row(line, std::move(object).error());

  InputRow row;
  row.line = line;
  row.request = read_job(*object, defaults);

  // `id` first, then what the line had, without what an earlier run may have added.
  Json fields;
  const bool has_id =
      object->contains("id") && ((*object)["id"].is_string() || (*object)["id"].is_number_integer());
  fields["id"] = has_id ? (*object)["id"] : Json("line-" + std::to_string(line));
  const bool carry = row.request || row.request.error().code != ErrorCode::kTooLong;
  if (carry) {
    for (const auto& [name, value] : object->items()) {
      if (name != "id" && name != "results" && name != "error") fields[name] = value;
    }
  }
  row.fields = fields.dump();
  return row;
}

}  // namespace tandem::cli
