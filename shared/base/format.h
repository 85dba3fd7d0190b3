// fmt::format, the std::format that g++ 12 does not have yet: the copy that spdlog brings. For .cc files.

#pragma once

#include <spdlog/fmt/fmt.h>
