// printf of the device: a format and a block of arguments, each aligned to its own size.
#pragma once

#include <functional>
#include <string>

#include "base/types.hpp"

namespace emulator::isa {

std::string format_device(const std::string& format, const u8* arguments,
                          const std::function<std::string(u64)>& read_string);
u32 count_conversions(const std::string& format);

}  // namespace emulator::isa
