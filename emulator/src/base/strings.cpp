#include "base/strings.hpp"

#include <cxxabi.h>

#include <cctype>
#include <cstdlib>

namespace emulator {

std::string_view strip_digits(std::string_view name) {
  size_t n = name.size();
  while (n && std::isdigit(static_cast<unsigned char>(name[n - 1]))) --n;
  return name.substr(0, n);
}

std::string collapse_blanks(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (!std::isspace(static_cast<unsigned char>(c))) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

std::string demangled(const std::string& symbol) {
  int status = 1;
  char* text = abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status);
  std::string out = status == 0 ? text : symbol;
  std::free(text);
  return out;
}

}  // namespace emulator
