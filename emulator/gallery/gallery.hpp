// The gallery: one small broken kernel per rule, and the same kernel mended.
#pragma once

#include <string>
#include <vector>

namespace gallery {

enum class Variant { kBroken, kMended };

struct Exhibit {
  std::string name;  // unique
  std::string rule;  // what the checker must report for kBroken
  void (*run)(Variant);
};

std::vector<Exhibit>& exhibits();

struct Register {
  Register(const char* name, const char* rule, void (*run)(Variant)) {
    exhibits().push_back({name, rule, run});
  }
};

}  // namespace gallery
