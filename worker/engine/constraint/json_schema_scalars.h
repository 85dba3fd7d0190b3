// The plain values of a JSON schema, and how its mistakes are told. For json_schema.cc.

#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "shared/base/result.h"
#include "worker/engine/constraint/expression.h"
#include "worker/engine/constraint/json_text.h"

namespace tandem::engine {

using Json = nlohmann::ordered_json;
using JsonPointer = Json::json_pointer;

// "JSON schema, /properties/age: expected ..., found ...".
tl::unexpected<Error> schema_mistake(const JsonPointer& at, const std::string& text,
                                     ErrorCode code = ErrorCode::kInvalid);
// A value as it may stand in an error.
std::string shown(const Json& value);

// A limit on a length; `value` stays as it is without one.
Result<void> read_length(const Json& schema, const char* keyword, const JsonPointer& at, uint32_t& value);

// What `schema` at `at` says of a string, an integer, a number. Keywords of other types are passed over: the
// caller has looked at them.
Result<Expression> schema_string(const Json& schema, const JsonPointer& at, JsonRules& rules);
Result<Expression> schema_integer(const Json& schema, const JsonPointer& at);
Result<Expression> schema_number(const Json& schema, const JsonPointer& at);

}  // namespace tandem::engine
