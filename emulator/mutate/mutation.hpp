// Deletes or weakens one synchronisation instruction of a kernel before its PTX is parsed.
//
// EMULATOR_MUTATE_LIST=FILE  appends every mutation that is possible in the modules loaded, one
// JSON object a line EMULATOR_MUTATE=KEY        applies the mutation with this key (from the list)
//
// Line numbers do not change, so reports of a mutant and of the original can be compared.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace emulator::mutate {

struct Mutation {
  std::string key;          // "entry|ordinal of the statement|action"
  std::string entry;        // mangled name of the kernel or device function
  std::string action;       // "delete", "scope", "order", "pending", "expect", "read"
  std::string original;     // the statement
  std::string replacement;  // what takes its place, empty for nothing
  unsigned ptx_line = 0;
  size_t begin = 0, end = 0;  // what is replaced; with the semicolon if by nothing
};

std::vector<Mutation> mutations_of(std::string_view ptx);

// What the loader calls: lists and mutates as the environment says.
std::string apply_environment(std::string ptx);

}  // namespace emulator::mutate
