// The six element types of the library under the names that safetensors files give them.
#pragma once

#include <optional>
#include <string_view>

#include "flash_kda/tensor_view.hpp"

namespace flash_kda::apps {

// "BF16", "F16", "F32", "I32", "I64", "U8".
std::string_view safetensors_name(DType dtype);
std::optional<DType> dtype_from_safetensors_name(std::string_view name);

}  // namespace flash_kda::apps
