#include "broker/upkeep/journal_dump.h"

#include <time.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <variant>

#include "broker/fact_codec.h"
#include "shared/base/format.h"
#include "shared/base/utf8.h"

namespace tandem::broker {
namespace {

using Json = nlohmann::ordered_json;

std::string shown(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const std::string_view valid = bytes.substr(0, utf8_valid_prefix(bytes));
    for (const char c : valid) {
      if (c == '\\') {
        text += "\\\\";
      } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
        text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
      } else {
        text += c;
      }
    }
    bytes.remove_prefix(valid.size());
    if (bytes.empty()) break;
    text += fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes.front()));
    bytes.remove_prefix(1);
  }
  return text;
}

Json fields_of(const AcceptedFact& fact) {
  Json line = {{"fact", fact.sequence},
               {"kind", "accepted"},
               {"job", fact.id.to_string()},
               {"client", fact.client},
               {"at", utc_text(fact.wall_ms)},
               {"urgency", to_string(fact.urgency)},
               {"priority", fact.priority},
               {"cost", fact.cost},
               {"attempts_max", fact.attempts_max},
               {"route", fact.route}};
  if (fact.not_before_ms != 0) line["not_before"] = utc_text(fact.not_before_ms);
  if (fact.expires_ms != 0) line["expires"] = utc_text(fact.expires_ms);
  return line;
}

Json fields_of(const FinishedFact& fact) {
  Json line = {{"fact", fact.sequence},        {"kind", "finished"},
               {"job", fact.id.to_string()},   {"state", to_string(fact.state)},
               {"at", utc_text(fact.wall_ms)}, {"accepted_as", fact.accepted},
               {"attempt", fact.attempt},      {"worker", fact.worker}};
  if (fact.state != JobState::kDone) {
    line["code"] = to_string(fact.error.code);
    line["error"] = shown(fact.error.text);
  }
  return line;
}

std::string json_of(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string text_of(const Json& line) {
  std::string text;
  for (const auto& [key, value] : line.items()) {
    if (!text.empty()) text += ' ';
    const bool is_plain =
        value.is_string() && value.get_ref<const std::string&>().find(' ') == std::string::npos;
    if (key != "fact" && key != "kind") text += key + "=";
    text += is_plain ? value.get<std::string>() : json_of(value);
  }
  return text;
}

Json line_of(std::string_view key, std::string_view bytes, uint64_t seed, bool payloads, bool& is_damaged) {
  is_damaged = true;
  const auto sequence = number_from_key(key);
  if (!sequence) return {{"fact", 0}, {"kind", "damaged"}, {"error", "its key has not 8 bytes"}};
  const auto damaged = [&](const Error& error) {
    return Json{{"fact", *sequence}, {"kind", "damaged"}, {"error", error.text}};
  };
  const auto head = decode_head(*sequence, bytes, seed);
  if (!head) return damaged(head.error());
  Json line = std::visit([](const auto& fact) { return fields_of(fact); }, head->fact);
  line["bytes"] = head->payload_bytes;
  const auto payload = decode_payload(*sequence, bytes, seed);
  if (!payload) return damaged(payload.error());
  if (payloads) line["payload"] = shown(*payload);
  is_damaged = false;
  return line;
}

}  // namespace

uint64_t dump_journal(const JournalReader& journal, const DumpOptions& options,
                      const std::function<void(const std::string& line)>& print) {
  std::set<std::string, std::less<>> acknowledged;
  const auto known = journal.for_acknowledged([&](std::string_view key) {
    acknowledged.emplace(key);
    return true;
  });
  uint64_t n_damaged = known ? 0 : 1;
  const auto walked = journal.for_facts([&](std::string_view key, std::string_view bytes) {
    bool is_damaged = false;
    Json line = line_of(key, bytes, journal.hash_seed(), options.payloads, is_damaged);
    n_damaged += is_damaged ? 1 : 0;
    if (acknowledged.contains(key)) line["acknowledged"] = true;
    print(options.json ? json_of(line) : text_of(line));
    return true;
  });
  if (!walked) {
    ++n_damaged;
    const Json line = {{"fact", 0}, {"kind", "damaged"}, {"error", walked.error().text}};
    print(options.json ? json_of(line) : text_of(line));
  }
  return n_damaged;
}

std::string utc_text(int64_t wall_ms) {
  const time_t seconds = static_cast<time_t>(wall_ms / 1000);
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  ::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03}Z", text, wall_ms % 1000);
}

}  // namespace tandem::broker
