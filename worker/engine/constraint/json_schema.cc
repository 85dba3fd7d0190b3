#include "worker/engine/constraint/json_schema.h"

#include <algorithm>
#include <map>
#include <set>

#include "shared/base/utf8.h"
#include "worker/engine/constraint/grammar.h"
#include "worker/engine/constraint/json_schema_scalars.h"
#include "worker/engine/constraint/json_text.h"

namespace tandem::engine {
namespace {

using Pointer = JsonPointer;

const std::set<std::string_view> kAnnotations{"title",      "description", "default",   "examples",
                                              "deprecated", "readOnly",    "writeOnly", "$schema",
                                              "$id",        "$comment",    "$defs",     "definitions"};

bool fits_type(const Json& value, const std::string& type) {
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  return value.type_name() == type;
}

class Compiler {
 public:
  explicit Compiler(Json schema) : root_(std::move(schema)) {}

  Result<std::vector<Expression>> run() {
    TANDEM_ASSIGN(Expression whole, value_of(root_, Pointer(), 0));
    rules_.set(0, std::move(whole));
    return rules_.take();
  }

 private:
  // Nothing but these keywords and what changes nothing.
  static Result<void> only(const Json& schema, const Pointer& at,
                           std::initializer_list<std::string_view> known) {
    for (const auto& [keyword, value] : schema.items()) {
      if (kAnnotations.contains(keyword)) continue;
      if (std::find(known.begin(), known.end(), keyword) != known.end()) continue;
      std::string names;
      for (const std::string_view name : known) names += (names.empty() ? "" : ", ") + std::string(name);
      return schema_mistake(
          at / keyword,
          "expected " + (names.empty() ? "no keyword" : names) + " here, found '" + keyword + "'",
          ErrorCode::kUnsupported);
    }
    return {};
  }

  Result<Expression> value_of(const Json& schema, const Pointer& at, size_t depth) {
    if (depth > kSchemaDepthMax)
      return schema_mistake(
          at, "expected at most " + std::to_string(kSchemaDepthMax) + " schemas inside each other");
    if (schema.is_boolean()) return schema.get<bool>() ? rules_.any_value() : choice({});
    if (!schema.is_object()) return schema_mistake(at, "expected a schema, found " + shown(schema));
    if (schema.contains("$ref")) {
      TANDEM_TRY(only(schema, at, {"$ref"}));
      return reference(schema["$ref"], at / "$ref", depth);
    }
    if (schema.contains("anyOf")) {
      TANDEM_TRY(only(schema, at, {"anyOf"}));
      return any_of(schema["anyOf"], at / "anyOf", depth);
    }
    TANDEM_ASSIGN(const std::vector<std::string> types, types_of(schema, at));
    if (schema.contains("const") || schema.contains("enum")) return listed(schema, types, at);
    if (types.empty()) {
      if (auto other = only(schema, at, {}); !other)
        return fail_in("without a type", std::move(other).error());
      return rules_.any_value();
    }
    TANDEM_TRY(check_keywords(schema, types, at));
    std::vector<Expression> ways;
    for (const std::string& type : types) {
      TANDEM_ASSIGN(Expression one, typed(schema, type, at, depth));
      ways.push_back(std::move(one));
    }
    return ways.size() == 1 ? std::move(ways[0]) : choice(std::move(ways));
  }

  static Result<std::vector<std::string>> types_of(const Json& schema, const Pointer& at) {
    static const std::set<std::string> kTypes{"string", "integer", "number", "boolean",
                                              "null",   "object",  "array"};
    std::vector<std::string> types;
    if (!schema.contains("type")) return types;
    const Json& found = schema["type"];
    const Json list = found.is_array() ? found : Json::array({found});
    for (const Json& type : list) {
      if (!type.is_string() || !kTypes.contains(type.get<std::string>())) {
        return schema_mistake(
            at / "type",
            "expected string, integer, number, boolean, null, object or array, found " + shown(type));
      }
      types.push_back(type.get<std::string>());
    }
    if (types.empty()) return schema_mistake(at / "type", "expected a type, found none");
    return types;
  }

  // Keywords of every type that may be meant.
  static Result<void> check_keywords(const Json& schema, const std::vector<std::string>& types,
                                     const Pointer& at) {
    static const std::map<std::string, std::set<std::string>> kKeywords{
        {"string", {"minLength", "maxLength", "pattern"}},
        {"integer", {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}},
        {"number", {"minimum"}},
        {"boolean", {}},
        {"null", {}},
        {"array", {"items", "minItems", "maxItems"}},
        {"object", {"properties", "required", "additionalProperties"}},
    };
    for (const auto& [keyword, value] : schema.items()) {
      if (keyword == "type" || kAnnotations.contains(keyword)) continue;
      const std::string& name = keyword;
      const bool known = std::any_of(types.begin(), types.end(), [&](const std::string& type) {
        return kKeywords.at(type).contains(name);
      });
      if (!known) {
        return schema_mistake(at / keyword,
                              "expected a keyword that is supported for this type, found '" + keyword + "'",
                              ErrorCode::kUnsupported);
      }
    }
    return {};
  }

  Result<Expression> typed(const Json& schema, const std::string& type, const Pointer& at, size_t depth) {
    if (type == "string") return schema_string(schema, at, rules_);
    if (type == "integer") return schema_integer(schema, at);
    if (type == "number") return schema_number(schema, at);
    if (type == "boolean") return choice({bytes("true"), bytes("false")});
    if (type == "null") return bytes("null");
    if (type == "array") return array(schema, at, depth);
    return object(schema, at, depth);
  }

  Result<Expression> listed(const Json& schema, const std::vector<std::string>& types, const Pointer& at) {
    const bool is_const = schema.contains("const");
    const std::string keyword = is_const ? "const" : "enum";
    TANDEM_TRY(only(schema, at, {"type", keyword}));
    if (!is_const && (!schema["enum"].is_array() || schema["enum"].empty()))
      return schema_mistake(at / "enum", "expected a list of values, found " + shown(schema["enum"]));
    const Json values = is_const ? Json::array({schema["const"]}) : schema["enum"];
    std::vector<Expression> ways;
    for (const Json& value : values) {
      const bool fits =
          types.empty() || std::any_of(types.begin(), types.end(),
                                       [&](const std::string& type) { return fits_type(value, type); });
      if (!fits)
        return schema_mistake(at / keyword, "expected values of the type beside it, found " + shown(value));
      ways.push_back(bytes(value.dump()));
    }
    return choice(std::move(ways));
  }

  Result<Expression> any_of(const Json& schemas, const Pointer& at, size_t depth) {
    if (!schemas.is_array() || schemas.empty())
      return schema_mistake(at, "expected a list of schemas, found " + shown(schemas));
    std::vector<Expression> ways;
    for (size_t i = 0; i < schemas.size(); ++i) {
      TANDEM_ASSIGN(Expression one, value_of(schemas[i], at / i, depth + 1));
      ways.push_back(std::move(one));
    }
    return choice(std::move(ways));
  }

  Result<Expression> reference(const Json& target, const Pointer& at, size_t depth) {
    const std::string name = target.is_string() ? target.get<std::string>() : "";
    if (!name.starts_with('#')) {
      return schema_mistake(
          at, "expected a reference within this schema (\"#/$defs/...\"), found " + shown(target),
          ErrorCode::kUnsupported);
    }
    const auto [known, is_new] = references_.emplace(name, 0);
    if (!is_new) return call(known->second);
    const uint32_t rule = known->second = rules_.reserve();
    try {
      const Pointer place(name.substr(1));
      if (!root_.contains(place))
        return schema_mistake(at, "expected a place in this schema, found " + shown(target));
      TANDEM_ASSIGN(Expression body, value_of(root_.at(place), place, depth + 1));
      rules_.set(rule, std::move(body));
    } catch (const Json::exception&) {
      return schema_mistake(at, "expected a place in this schema, found " + shown(target));
    }
    return call(rule);
  }

  Result<Expression> array(const Json& schema, const Pointer& at, size_t depth) {
    uint32_t min = 0, max = Expression::kUnbounded;
    TANDEM_TRY(read_length(schema, "minItems", at, min));
    TANDEM_TRY(read_length(schema, "maxItems", at, max));
    if (min > max) return schema_mistake(at / "minItems", "expected no more than maxItems, found more");
    Expression item = rules_.any_value();
    if (schema.contains("items")) {
      TANDEM_ASSIGN(item, value_of(schema["items"], at / "items", depth + 1));
    }
    return rules_.array_of(std::move(item), min, max);
  }

  Result<Expression> object(const Json& schema, const Pointer& at, size_t depth);
  Expression members(const std::vector<std::pair<Expression, bool>>& all);

  Json root_;
  JsonRules rules_;
  std::map<std::string, uint32_t> references_;
};

Result<Expression> Compiler::object(const Json& schema, const Pointer& at, size_t depth) {
  const Json properties = schema.contains("properties") ? schema["properties"] : Json::object();
  const Json additional = schema.contains("additionalProperties") ? schema["additionalProperties"] : Json();
  const Json required = schema.contains("required") ? schema["required"] : Json::array();
  if (!properties.is_object() || properties.size() > kPropertiesMax) {
    return schema_mistake(at / "properties", "expected up to " + std::to_string(kPropertiesMax) +
                                                 " schemas by name, found " + shown(properties));
  }
  std::set<std::string> names;
  if (!required.is_array())
    return schema_mistake(at / "required", "expected a list of names, found " + shown(required));
  for (const Json& name : required) {
    if (!name.is_string() || !properties.contains(name.get<std::string>()))
      return schema_mistake(at / "required", "expected names of properties, found " + shown(name));
    names.insert(name.get<std::string>());
  }

  if (properties.empty()) {
    if (additional == false || schema.contains("properties")) {
      if (!additional.is_null() && additional != false)
        return schema_mistake(at / "additionalProperties",
                              "expected false beside properties, found " + shown(additional),
                              ErrorCode::kUnsupported);
      return bytes("{}");
    }
    if (additional.is_null()) return rules_.map_of(rules_.any_value());
    TANDEM_ASSIGN(Expression value, value_of(additional, at / "additionalProperties", depth + 1));
    return rules_.map_of(call(rules_.add(std::move(value))));
  }
  if (!additional.is_null() && additional != false) {
    return schema_mistake(at / "additionalProperties",
                          "expected false beside properties, found " + shown(additional),
                          ErrorCode::kUnsupported);
  }
  std::vector<std::pair<Expression, bool>> all;
  for (const auto& [name, property] : properties.items()) {
    TANDEM_ASSIGN(Expression value, value_of(property, at / "properties" / name, depth + 1));
    all.emplace_back(sequence({bytes(Json(name).dump()), json_colon(), std::move(value)}),
                     names.contains(name));
  }
  return members(all);
}

// The members in order, those that are not required left out or not, with a comma between two that are there.
// Behind the first that is there, each of the others has its comma in front: that is a chain of rules. Which
// is the first is a choice, up to the first that must be there.
Expression Compiler::members(const std::vector<std::pair<Expression, bool>>& all) {
  std::vector<uint32_t> member(all.size()), rest(all.size() + 1);
  for (size_t i = 0; i < all.size(); ++i) member[i] = rules_.add(all[i].first);
  rest[all.size()] = rules_.add(Expression{});
  for (size_t i = all.size(); i > 0; --i) {
    Expression one = sequence({json_comma(), call(member[i - 1])});
    rest[i - 1] =
        rules_.add(sequence({all[i - 1].second ? std::move(one) : optional(std::move(one)), call(rest[i])}));
  }
  std::vector<Expression> firsts;
  bool may_be_empty = true;
  for (size_t i = 0; i < all.size() && may_be_empty; ++i) {
    firsts.push_back(sequence({call(member[i]), call(rest[i + 1])}));
    may_be_empty = !all[i].second;
  }
  if (may_be_empty) firsts.emplace_back();
  return sequence({bytes("{"), choice(std::move(firsts)), bytes("}")});
}

}  // namespace

Result<std::shared_ptr<const Grammar>> grammar_of_json(std::string_view schema) {
  if (schema.size() > kSchemaBytesMax) {
    return fail(ErrorCode::kTooLong, "JSON schema: expected at most " + std::to_string(kSchemaBytesMax) +
                                         " bytes, found " + std::to_string(schema.size()));
  }
  Json parsed = true;
  if (!schema.empty()) {
    try {
      parsed = Json::parse(schema);
    } catch (const Json::exception& error) {
      return fail(ErrorCode::kInvalid, "JSON schema: expected JSON, found " + utf8_lossy(error.what()));
    }
  }
  TANDEM_ASSIGN(const std::vector<Expression> rules, Compiler(std::move(parsed)).run());
  auto grammar = Grammar::build(rules);
  if (!grammar) return fail_in("JSON schema", std::move(grammar).error());
  return grammar;
}

}  // namespace tandem::engine
