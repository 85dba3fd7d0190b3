#include "worker/engine/model/json_file.h"

#include <nlohmann/json.hpp>

#include "shared/base/file.h"
#include "shared/base/limits.h"

namespace tandem::engine {
namespace {

constexpr size_t kShownBytesMax = 200;

}  // namespace

Result<JsonFile> JsonFile::open(const std::filesystem::path& path) {
  TANDEM_ASSIGN(const std::string text, read_file(path, limits::kConfigBytesMax));
  try {
    auto json = std::make_shared<const Json>(Json::parse(text));
    if (!json->is_object()) {
      return fail(ErrorCode::kCorrupt, path.string() + ": expected a JSON object, found " + shown(*json));
    }
    return JsonFile(path, std::move(json));
  } catch (const Json::exception& error) {
    return fail(ErrorCode::kCorrupt, path.string() + ": expected JSON, found an error: " + error.what());
  }
}

const JsonFile::Json* JsonFile::find(const char* key) const {
  const auto found = json_->find(key);
  return found == json_->end() || found->is_null() ? nullptr : &*found;
}

size_t JsonFile::number(const char* key, uint64_t min, uint64_t max) {
  const Json* value = find(key);
  if (value != nullptr && value->is_number_unsigned() && value->get<uint64_t>() >= min &&
      value->get<uint64_t>() <= max) {
    return value->get<uint64_t>();
  }
  mistake(key, "a whole number from " + std::to_string(min) + " to " + std::to_string(max), value);
  return min;
}

size_t JsonFile::number_or(const char* key, uint64_t min, uint64_t max, size_t otherwise) {
  return find(key) == nullptr ? otherwise : number(key, min, max);
}

double JsonFile::real(const Json* value, const char* key, double min, double max) {
  if (value != nullptr && value->is_number() && value->get<double>() >= min && value->get<double>() <= max) {
    return value->get<double>();
  }
  mistake(key, "a number from " + Json(min).dump() + " to " + Json(max).dump(), value);
  return min;
}

bool JsonFile::flag_or(const char* key, bool otherwise) {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  if (value->is_boolean()) return value->get<bool>();
  mistake(key, "true or false", value);
  return otherwise;
}

std::string JsonFile::text_or(const char* key, const std::string& otherwise) {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  if (value->is_string()) return value->get<std::string>();
  mistake(key, "a text", value);
  return otherwise;
}

void JsonFile::mistake(const char* key, const std::string& expected, const Json* found) {
  note(ErrorCode::kCorrupt, "expected '" + std::string(key) + "' to be " + expected + ", found " +
                                (found == nullptr ? "nothing" : shown(*found)));
}

void JsonFile::note(ErrorCode code, const std::string& text) {
  if (mistake_.text.empty()) mistake_ = {code, path_.string() + ": " + text};
}

Result<void> JsonFile::done() const {
  if (!mistake_.text.empty()) return fail(mistake_);
  return {};
}

std::string JsonFile::shown(const Json& value) {
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kShownBytesMax) text = text.substr(0, kShownBytesMax) + "...";
  return text;
}

}  // namespace tandem::engine
