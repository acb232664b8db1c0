// A loaded PTX module: kernels and the memory of its variables.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "exec/kernel.hpp"
#include "ptx/ast.hpp"

namespace emulator {

struct GlobalVariable {
  u64 address = 0;
  u64 bytes = 0;
};

struct Module {
  ptx::Source source;
  std::deque<Kernel> kernels;
  std::map<std::string, GlobalVariable, std::less<>> globals;
  std::vector<std::string> errors;  // empty: every instruction of every kernel is known
  Kernel* find(std::string_view name);
};

// Parses and decodes; problems are in the result's `errors`, all of them at once.
std::unique_ptr<Module> load_module(std::string ptx);

}  // namespace emulator
