// The checksum of zip and of Python's zlib.crc32 (IEEE 802.3, reflected): what a script can write without
// more tools.

#pragma once

#include <cstdint>
#include <string_view>

namespace tandem::semantic {

uint32_t crc32(std::string_view bytes);

}  // namespace tandem::semantic
