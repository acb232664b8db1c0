// Named shapes for `flash-kda bench`: sizes that people meet, under names they recognise.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flash_kda/problem.hpp"

namespace flash_kda::cli {

enum class ShapeGroup {
  kCpu,   // what a CPU runs in well under a minute; the default of `bench`
  kGrid,  // published models and serving calls at full size
};

struct NamedShape {
  std::string name;
  ShapeGroup group;
  std::string what;  // half a line for --list
  Problem problem;
  std::vector<std::int64_t> lengths;  // of packed sequences; empty: fixed length
};

const std::vector<NamedShape>& named_shapes();

// A name, or a group ("cpu", "grid", "all"). Empty: no such name.
std::vector<NamedShape> find_shapes(const std::string& name);

// Fixed length or packed; the state is read and written in place, fp32.
Problem bench_problem(std::int64_t tokens, std::int64_t heads, std::int64_t head_dim);

// "t8192-h4-hv8-d64": a name for a shape that has none.
std::string shape_name(const Problem& problem);

}  // namespace flash_kda::cli
