#include "apps/common/dtype_names.hpp"

#include <array>
#include <utility>

namespace flash_kda::apps {
namespace {

constexpr std::array<std::pair<DType, std::string_view>, 6> kNames{{
    {DType::kBF16, "BF16"},
    {DType::kF16, "F16"},
    {DType::kF32, "F32"},
    {DType::kI32, "I32"},
    {DType::kI64, "I64"},
    {DType::kU8, "U8"},
}};

}  // namespace

std::string_view safetensors_name(DType dtype) {
  for (const auto& [known, name] : kNames) {
    if (known == dtype) return name;
  }
  return "?";
}

std::optional<DType> dtype_from_safetensors_name(std::string_view name) {
  for (const auto& [dtype, known] : kNames) {
    if (known == name) return dtype;
  }
  return std::nullopt;
}

}  // namespace flash_kda::apps
