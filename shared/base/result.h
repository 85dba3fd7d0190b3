// Result<T>: a value, or an Error the caller can act on. Bugs are TANDEM_ASSERT's business.

#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

#include "shared/base/error.h"

namespace tandem {

template <typename T>
using Result = tl::expected<T, Error>;

// The unexpected side: `return fail(ErrorCode::kInvalid, "expected ..., found ...");`
inline tl::unexpected<Error> fail(ErrorCode code, std::string text) {
  return tl::make_unexpected(Error{code, std::move(text)});
}
inline tl::unexpected<Error> fail(Error error) {
  return tl::make_unexpected(std::move(error));
}

// Passes an error on with the place in front: "models/x/config.json: expected ...".
inline tl::unexpected<Error> fail_in(std::string_view place, Error error) {
  error.text = std::string(place) + ": " + error.text;
  return tl::make_unexpected(std::move(error));
}

// Returns from the calling function with the error of `expression`, if it has one.
#define TANDEM_TRY(expression)                               \
  do {                                                       \
    if (auto tandem_try_ = (expression); !tandem_try_)       \
      return ::tandem::fail(std::move(tandem_try_).error()); \
  } while (false)

// TANDEM_ASSIGN(auto model, Model::load(folder)); the value, or return with its error.
#define TANDEM_ASSIGN(declaration, expression) \
  TANDEM_ASSIGN_IMPL_(TANDEM_JOIN_(tandem_result_, __LINE__), declaration, expression)
#define TANDEM_ASSIGN_IMPL_(name, declaration, expression)   \
  auto name = (expression);                                  \
  if (!name) return ::tandem::fail(std::move(name).error()); \
  declaration = std::move(*name)
#define TANDEM_JOIN_(a, b) TANDEM_JOIN2_(a, b)
#define TANDEM_JOIN2_(a, b) a##b

}  // namespace tandem
