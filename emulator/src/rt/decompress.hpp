#pragma once

#include <string>
#include <string_view>

namespace emulator::rt {

// Fill `out`, whose size is that of the text, from what --compress-mode=speed and nvcc's default
// make of it. False: damaged, or (zstd) the system's libzstd.so.1 is missing.
bool decompress_lz4(std::string_view in, std::string& out);
bool decompress_zstd(std::string_view in, std::string& out);

}  // namespace emulator::rt
