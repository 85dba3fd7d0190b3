// A reader of JSON schemas for tests: whether a value fits, told from the standard and not from our grammar.

#pragma once

#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace tandem::testing {

using Json = nlohmann::ordered_json;

// "" when `value` fits, or what does not. Patterns are not looked at.
std::string mismatch(const Json& schema, const Json& root, const Json& value);

// A schema that we support, of up to `depth` levels; may refer to "#/$defs/node", which the caller defines.
Json random_schema(std::mt19937_64& random, int depth, bool refers);

}  // namespace tandem::testing
