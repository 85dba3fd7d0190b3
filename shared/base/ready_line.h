// How a program tells whoever started it that it can be used now.

#pragma once

#include <string>

namespace tandem {

// Writes "ready <facts>\n" to `fd` and closes it, unless it is standard output. Nobody listening is no error.
void say_ready(int fd, const std::string& facts);

}  // namespace tandem
