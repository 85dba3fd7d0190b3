// Tells an answer from "I cannot answer that".

#pragma once

#include <string_view>

namespace tandem {

// The phrases with which models decline, in English and Chinese, anywhere in `plain` (see plain_text.h).
// Meant for one line of a generated label, where such a phrase means that the label beside it is no answer.
bool declines(std::u32string_view plain);

// A free answer that begins by declining ("I'm sorry, but I cannot", "抱歉，我无法"). Sympathy is no refusal
// ("I'm sorry to hear that"). Such answers are shown but not kept in caches.
bool is_refusal(std::string_view answer);

}  // namespace tandem
