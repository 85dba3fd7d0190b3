#include "worker/engine/constraint/json_schema_scalars.h"

#include <algorithm>

#include "shared/base/utf8.h"
#include "worker/engine/constraint/json_schema.h"
#include "worker/engine/constraint/regex.h"

namespace tandem::engine {
namespace {

// A bound of integers, moved by `step` when it is exclusive.
Result<void> read_bound(const Json& schema, const char* keyword, const JsonPointer& at, int64_t step,
                        int64_t& min_or_max) {
  if (!schema.contains(keyword)) return {};
  const Json& found = schema[keyword];
  const double number = found.is_number() ? found.get<double>() : 0.5;
  if (number != static_cast<double>(static_cast<int64_t>(std::clamp(number, -1e18, 1e18)))) {
    return schema_mistake(at / keyword,
                          "expected a whole number of at most 18 digits, found " + shown(found));
  }
  const int64_t bound = (found.is_number_integer() ? found.get<int64_t>() : static_cast<int64_t>(number));
  if (bound < -kIntegerMax || bound > kIntegerMax)
    return schema_mistake(at / keyword,
                          "expected a whole number of at most 18 digits, found " + shown(found));
  min_or_max = step < 0 ? std::min(min_or_max, bound + (keyword[0] == 'e' ? step : 0))
                        : std::max(min_or_max, bound + (keyword[0] == 'e' ? step : 0));
  return {};
}

}  // namespace

std::string shown(const Json& value) {
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= 60 ? text : utf8_lossy(text.substr(0, 60)) + "...";
}

tl::unexpected<Error> schema_mistake(const JsonPointer& at, const std::string& text, ErrorCode code) {
  const std::string place = at.to_string();
  return fail(code, "JSON schema, " + (place.empty() ? "at the top" : place) + ": " + text);
}

Result<void> read_length(const Json& schema, const char* keyword, const JsonPointer& at, uint32_t& value) {
  if (!schema.contains(keyword)) return {};
  const Json& found = schema[keyword];
  if (!found.is_number_unsigned() || found.get<uint64_t>() > kLengthMax) {
    return schema_mistake(at / keyword, "expected a number from 0 to " + std::to_string(kLengthMax) +
                                            ", found " + shown(found));
  }
  value = found.get<uint32_t>();
  return {};
}

Result<Expression> schema_string(const Json& schema, const JsonPointer& at, JsonRules& rules) {
  uint32_t min = 0, max = Expression::kUnbounded;
  TANDEM_TRY(read_length(schema, "minLength", at, min));
  TANDEM_TRY(read_length(schema, "maxLength", at, max));
  if (min > max) return schema_mistake(at / "minLength", "expected no more than maxLength, found more");
  if (!schema.contains("pattern")) return rules.any_string(min, max);
  if (schema.contains("minLength") || schema.contains("maxLength"))
    return schema_mistake(at / "pattern", "expected a pattern or a length, found both",
                          ErrorCode::kUnsupported);
  const Json& pattern = schema["pattern"];
  if (!pattern.is_string())
    return schema_mistake(at / "pattern", "expected a regex, found " + shown(pattern));
  auto parsed = parse_regex(pattern.get<std::string>(), RegexMode::kSearch);
  if (!parsed) return schema_mistake(at / "pattern", parsed.error().text, parsed.error().code);
  return json_string_of(std::move(*parsed));
}

Result<Expression> schema_integer(const Json& schema, const JsonPointer& at) {
  int64_t min = -kIntegerMax, max = kIntegerMax;
  TANDEM_TRY(read_bound(schema, "minimum", at, 1, min));
  TANDEM_TRY(read_bound(schema, "exclusiveMinimum", at, 1, min));
  TANDEM_TRY(read_bound(schema, "maximum", at, -1, max));
  TANDEM_TRY(read_bound(schema, "exclusiveMaximum", at, -1, max));
  if (min > max || min > kIntegerMax || max < -kIntegerMax)
    return schema_mistake(at, "expected a number between the bounds, found none that is");
  return json_integer(min, max);
}

Result<Expression> schema_number(const Json& schema, const JsonPointer& at) {
  if (!schema.contains("minimum")) return json_number(true);
  const Json& min = schema["minimum"];
  if (!min.is_number() || min.get<double>() != 0) {
    return schema_mistake(at / "minimum", "expected 0 or an integer type, found " + shown(min),
                          ErrorCode::kUnsupported);
  }
  return json_number(false);
}

}  // namespace tandem::engine
