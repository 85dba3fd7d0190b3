#include "tests/engine/constraint/json_check.h"

#include "shared/base/utf8.h"

namespace tandem::testing {
namespace {

bool has_type(const Json& value, const std::string& type) {
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  return value.type_name() == type;
}

std::string mismatch_of_type(const Json& schema, const Json& root, const Json& value,
                             const std::string& type) {
  if (!has_type(value, type)) return value.dump() + " is no " + type;
  if (type == "string") {
    const size_t n = utf8_length(value.get<std::string>());
    if (n < schema.value("minLength", 0u)) return "too short: " + value.dump();
    if (n > schema.value("maxLength", 1'000'000u)) return "too long: " + value.dump();
  }
  if (type == "integer") {
    const auto n = value.get<int64_t>();
    if (schema.contains("minimum") && n < schema["minimum"]) return "too small: " + value.dump();
    if (schema.contains("maximum") && n > schema["maximum"]) return "too great: " + value.dump();
    if (schema.contains("exclusiveMinimum") && n <= schema["exclusiveMinimum"])
      return "too small: " + value.dump();
    if (schema.contains("exclusiveMaximum") && n >= schema["exclusiveMaximum"])
      return "too great: " + value.dump();
  }
  if (type == "number" && schema.contains("minimum") && value.get<double>() < schema["minimum"].get<double>())
    return "too small: " + value.dump();
  if (type == "array") {
    if (value.size() < schema.value("minItems", 0u)) return "too few: " + value.dump();
    if (value.size() > schema.value("maxItems", 1'000'000u)) return "too many: " + value.dump();
    for (const Json& item : value) {
      if (!schema.contains("items")) break;
      if (const auto wrong = mismatch(schema["items"], root, item); !wrong.empty()) return wrong;
    }
  }
  if (type == "object") {
    for (const auto& name : schema.value("required", Json::array())) {
      if (!value.contains(name.get<std::string>())) return name.dump() + " is missing in " + value.dump();
    }
    const Json properties = schema.value("properties", Json::object());
    for (const auto& [name, item] : value.items()) {
      const bool known = properties.contains(name);
      if (!known && !properties.empty()) return "'" + name + "' is not known";
      const Json& inner = known ? properties[name] : schema.value("additionalProperties", Json(true));
      if (const auto wrong = mismatch(inner, root, item); !wrong.empty()) return wrong;
    }
  }
  return "";
}

}  // namespace

std::string mismatch(const Json& schema, const Json& root, const Json& value) {
  if (schema.is_boolean()) return schema.get<bool>() ? "" : "nothing fits false";
  if (schema.contains("$ref")) {
    const Json::json_pointer place(schema["$ref"].get<std::string>().substr(1));
    return mismatch(root.at(place), root, value);
  }
  if (schema.contains("anyOf")) {
    std::string all;
    for (const Json& one : schema["anyOf"]) {
      const std::string wrong = mismatch(one, root, value);
      if (wrong.empty()) return "";
      all += wrong + "; ";
    }
    return all;
  }
  if (schema.contains("const")) return schema["const"] == value ? "" : value.dump() + " is another constant";
  if (schema.contains("enum")) {
    for (const Json& one : schema["enum"]) {
      if (one == value) return "";
    }
    return value.dump() + " is not in the list";
  }
  if (!schema.contains("type")) return "";
  const Json types = schema["type"].is_array() ? schema["type"] : Json::array({schema["type"]});
  std::string all;
  for (const Json& type : types) {
    const std::string wrong = mismatch_of_type(schema, root, value, type.get<std::string>());
    if (wrong.empty()) return "";
    all += wrong + "; ";
  }
  return all;
}

Json random_schema(std::mt19937_64& random, int depth, bool refers) {
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<uint64_t>(n)); };
  switch (depth > 0 ? below(13) : below(8)) {
    case 0: {
      Json schema{{"type", "string"}};
      if (below(2) == 0) schema["minLength"] = below(3);
      if (below(2) == 0) schema["maxLength"] = 2 + below(5);
      return schema;
    }
    case 1: {
      Json schema{{"type", "integer"}};
      const int64_t min = static_cast<int64_t>(random() % 5000) - 2500;
      if (below(2) == 0) schema[below(2) == 0 ? "minimum" : "exclusiveMinimum"] = min;
      if (below(2) == 0) schema[below(2) == 0 ? "maximum" : "exclusiveMaximum"] = min + 2 + below(3000);
      return schema;
    }
    case 2:
      return below(2) == 0 ? Json{{"type", "number"}} : Json{{"type", "number"}, {"minimum", 0}};
    case 3:
      return {{"type", "boolean"}};
    case 4:
      return {{"type", Json::array({"null", "integer", "string"})}};
    case 5:
      return {{"enum", Json::array({"a", 1, nullptr, "你\n\"", 2.5, Json{{"k", Json::array({1, 2})}}})}};
    case 6:
      return {{"const", below(2) == 0 ? Json("it's") : Json(-7)}};
    case 7:
      return refers ? Json{{"$ref", "#/$defs/node"}} : Json{{"type", "null"}};
    case 8:
      return {{"anyOf", Json::array({random_schema(random, depth - 1, refers),
                                     random_schema(random, depth - 1, refers)})}};
    case 9:
    case 10: {
      Json schema{{"type", "array"}};
      if (below(4) != 0) schema["items"] = random_schema(random, depth - 1, refers);
      if (below(2) == 0) schema["minItems"] = below(3);
      if (below(2) == 0) schema["maxItems"] = 2 + below(3);
      return schema;
    }
    case 11: {
      Json schema{{"type", "object"}};
      if (below(2) == 0) schema["additionalProperties"] = random_schema(random, depth - 1, refers);
      return schema;
    }
    default: {
      Json schema{{"type", "object"}, {"properties", Json::object()}, {"required", Json::array()}};
      for (int i = 1 + below(4); i > 0; --i) {
        const std::string name =
            std::vector<std::string>{"name", "na\"me", "年", "a b", "x"}[static_cast<size_t>(below(5))];
        if (schema["properties"].contains(name)) continue;
        schema["properties"][name] = random_schema(random, depth - 1, refers);
        if (below(2) == 0) schema["required"].push_back(name);
      }
      if (below(2) == 0) schema["additionalProperties"] = false;
      return schema;
    }
  }
}

}  // namespace tandem::testing
