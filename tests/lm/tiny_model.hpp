// A model small enough for a unit test, with random weights, as a file that a test can spoil.
#pragma once

#include <string>
#include <vector>

#include "apps/common/safetensors.hpp"

namespace flash_kda::lm {

struct TinyTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;
  DType dtype = DType::kF32;  // kBF16 keeps the upper half of each value; kF16 is for bad files
};

struct TinyModel {
  std::string config;  // JSON
  std::vector<TinyTensor> tensors;

  TinyTensor& tensor(const std::string& name);
  void remove(const std::string& name);
  // Writes a file in the test's folder for temporary files and returns its path.
  std::string save(const std::string& name) const;
};

// Two layers, H = 1, HV = 2, K = V = 64, d_model 16.
TinyModel make_tiny_model(const std::string& gate);

}  // namespace flash_kda::lm
