// Real inputs of a layer's KDA, as a file that `flash-kda prefill` and `verify` read.
#pragma once

#include <string_view>

#include "apps/common/atomic_file.hpp"
#include "apps/lm/session.hpp"

namespace flash_kda::lm {

// Reads the document and writes the layer's q, k, v, g, beta (bf16), A_log and dt_bias (f32).
// Metadata: gate, lower_bound. The caller commits the file.
Status capture(const std::shared_ptr<const Weights>& weights, const SessionOptions& options,
               std::string_view document, std::int64_t layer, apps::AtomicFile& file);

}  // namespace flash_kda::lm
