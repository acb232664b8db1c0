// The ways to run that every test of this folder goes through.
#pragma once

#include <cctype>
#include <string>
#include <vector>

#include "flash_kda/prefill.hpp"

namespace flash_kda {

struct Configuration {
  BackendKind backend = BackendKind::kReference;
  Precision precision = Precision::kF32;
  Algorithm algorithm = Algorithm::kAuto;
  int threads = 0;

  PlanOptions options() const {
    return {.backend = backend, .precision = precision, .threads = threads, .algorithm = algorithm};
  }
};

// Host backends of this build. The reference has one precision and both algorithms. The same tests
// are built once more for the CUDA backend on the emulator (FLASH_KDA_TEST_CUDA); there the
// algorithm fixes the precision.
inline std::vector<Configuration> host_configurations() {
  std::vector<Configuration> all;
#if defined(FLASH_KDA_TEST_CUDA)
  all.push_back({BackendKind::kCuda, Precision::kF32, Algorithm::kRecurrent});
  all.push_back({BackendKind::kCuda, Precision::kBF16, Algorithm::kChunked});
  return all;
#endif
  for (const BackendKind backend : backends()) {
    if (backend == BackendKind::kCuda) continue;
    for (const Algorithm algorithm : {Algorithm::kRecurrent, Algorithm::kChunked}) {
      all.push_back({backend, Precision::kF32, algorithm});
      if (backend != BackendKind::kReference) all.push_back({backend, Precision::kBF16, algorithm});
    }
  }
  return all;
}

// GoogleTest allows letters, digits and underscores.
inline std::string test_name(std::string text) {
  for (char& c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return text;
}

inline std::string name_of(const Configuration& c) {
  std::string name = to_string(c.backend);
  if (c.backend != BackendKind::kReference) name += std::string("_") + to_string(c.precision);
  return test_name(name + "_" + to_string(c.algorithm));
}

}  // namespace flash_kda
