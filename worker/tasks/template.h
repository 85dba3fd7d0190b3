// Prompt templates: "Translate into {target}: {text}", with "{{" and "}}" for braces.

#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"

namespace tandem {

// A template taken apart: text that stays and names that are replaced, in turn.
struct TemplatePiece {
  bool is_name = false;
  std::string text;
};

// kInvalid when a brace is left open or closes nothing, or a name is not made of a-z, A-Z, 0-9, '_', '-';
// says where.
Result<std::vector<TemplatePiece>> parse_template(std::string_view text);

// The template with its names replaced. What is put in is not looked at again: braces in it stay braces. The
// template is one that parse_template() takes and `values` has all its names; anything else is a bug.
std::string fill_template(std::string_view text, const std::map<std::string, std::string>& values);

}  // namespace tandem
