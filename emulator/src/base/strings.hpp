#pragma once

#include <string>
#include <string_view>

namespace emulator {

// "%r12" -> "%r"
std::string_view strip_digits(std::string_view name);
// Any run of blanks becomes one space.
std::string collapse_blanks(std::string_view text);
// The C++ name of a symbol, or the symbol if it has none.
std::string demangled(const std::string& symbol);

}  // namespace emulator
