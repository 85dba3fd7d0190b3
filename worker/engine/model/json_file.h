// A JSON file of a model folder: keys are asked for one by one, and the first mistake is kept, so that the
// list of keys reads as a list.

#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "shared/base/result.h"

namespace tandem::engine {

class JsonFile {
 public:
  using Json = nlohmann::json;

  // kNotFound; kCorrupt when it is no JSON object; each with the path.
  static Result<JsonFile> open(const std::filesystem::path& path);

  // nullptr when the key is not there or null.
  const Json* find(const char* key) const;
  // The value, or a mistake and `min`: a key that is missing, of another type or out of range.
  size_t number(const char* key, uint64_t min, uint64_t max);
  double real(const Json* value, const char* key, double min, double max);
  // `otherwise` when the key is not there.
  size_t number_or(const char* key, uint64_t min, uint64_t max, size_t otherwise);
  bool flag_or(const char* key, bool otherwise);
  std::string text_or(const char* key, const std::string& otherwise);

  void mistake(const char* key, const std::string& expected, const Json* found);
  void note(ErrorCode code, const std::string& text);
  // The first mistake, with the path.
  Result<void> done() const;

  const Json& json() const { return *json_; }
  static std::string shown(const Json& value);  // short, for an error

 private:
  JsonFile(std::filesystem::path path, std::shared_ptr<const Json> json)
      : path_(std::move(path)), json_(std::move(json)) {}

  std::filesystem::path path_;
  std::shared_ptr<const Json> json_;
  Error mistake_;
};

}  // namespace tandem::engine
