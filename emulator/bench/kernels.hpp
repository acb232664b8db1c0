#pragma once

#include <string>
#include <vector>

struct BenchCase {
  std::string name;
  void (*run)(int ctas);
};

std::vector<BenchCase> bench_cases();
