// Real inputs of a layer's KDA, as a file that `flash-kda prefill` and `verify` read.
#pragma once

#include <string>
#include <string_view>

#include "apps/lm/session.hpp"

namespace flash_kda::lm {

// Reads the document and writes layer's q, k, v, g, beta (bf16), A_log and dt_bias (f32) to path.
// Metadata: gate, lower_bound.
Status capture(const std::shared_ptr<const Weights>& weights, const SessionOptions& options,
               std::string_view document, std::int64_t layer, const std::string& path);

}  // namespace flash_kda::lm
