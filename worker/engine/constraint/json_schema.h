// The part of JSON Schema that can be held to token by token. A keyword that is not here is a mistake
// (kUnsupported) with its place as a JSON pointer: nothing is silently left out.
//
//   true, false, {}    anything, nothing, anything
//   type               string, integer, number, boolean, null, object, array, or a list of them
//   enum, const        written as JSON's shortest spelling; beside them only a type, which must agree
//   anyOf, $ref        alone; $ref: "#" or "#/..." of this schema, also in circles
//   string             minLength, maxLength (characters), or pattern (see regex.h; as the standard has it, a
//                      part of the string must fit where there is no ^ and $)
//   integer            minimum, maximum, exclusiveMinimum, exclusiveMaximum; 18 digits at most, no exponent
//   number             minimum 0, nothing else; 18 digits, 17 behind the point, exponents of two digits
//   array              items, minItems, maxItems
//   object             properties (written in this order), required, additionalProperties; minProperties and
//                      the like are not there. With properties, additionalProperties must be false, and is
//                      when it is not given (the standard says true). Without any, the object is a map with
//                      values as additionalProperties says, or any.
//   title, description, default, examples, deprecated, readOnly, writeOnly, $schema, $id, $comment, $defs,
//   definitions        change nothing
//
// White space: one space at most behind ':' and ',', none elsewhere.

#pragma once

#include <cstddef>

namespace tandem::engine {

inline constexpr size_t kSchemaBytesMax = 256u << 10;
inline constexpr size_t kSchemaDepthMax = 64;  // schemas inside each other, as written
inline constexpr size_t kPropertiesMax = 1024;
inline constexpr size_t kLengthMax = 10'000;  // of minLength and its like

}  // namespace tandem::engine
