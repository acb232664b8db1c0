// States between the caller's memory (type, layout, strides) and fp32 rows of K.
#include <cstring>

#include "core/host_call.hpp"
#include "core/number.hpp"

namespace flash_kda {
namespace {

bool rows_are_plain_f32(const StateRef& ref) {
  return ref.dtype == DType::kF32 && ref.k_stride == 1;
}

}  // namespace

void load_state(const StateRef& src, std::int64_t v_begin, std::int64_t num_v, std::int64_t num_k,
                float* dst, std::int64_t dst_pitch) {
  for (std::int64_t v = 0; v < num_v; ++v) {
    float* row = dst + v * dst_pitch;
    const std::int64_t first = (v_begin + v) * src.v_stride;
    if (!src) {
      std::memset(row, 0, static_cast<std::size_t>(num_k) * sizeof(float));
    } else if (rows_are_plain_f32(src)) {
      std::memcpy(row, static_cast<const float*>(src.data) + first,
                  static_cast<std::size_t>(num_k) * sizeof(float));
    } else if (src.dtype == DType::kF32) {
      const float* from = static_cast<const float*>(src.data) + first;
      for (std::int64_t k = 0; k < num_k; ++k) row[k] = from[k * src.k_stride];
    } else {
      const auto* from = static_cast<const std::uint16_t*>(src.data) + first;
      for (std::int64_t k = 0; k < num_k; ++k) row[k] = bf16_to_float(from[k * src.k_stride]);
    }
  }
}

void store_state(const StateRef& dst, std::int64_t v_begin, std::int64_t num_v, std::int64_t num_k,
                 const float* src, std::int64_t src_pitch) {
  if (!dst) return;
  for (std::int64_t v = 0; v < num_v; ++v) {
    const float* row = src + v * src_pitch;
    const std::int64_t first = (v_begin + v) * dst.v_stride;
    if (rows_are_plain_f32(dst)) {
      std::memcpy(static_cast<float*>(dst.data) + first, row,
                  static_cast<std::size_t>(num_k) * sizeof(float));
    } else if (dst.dtype == DType::kF32) {
      float* to = static_cast<float*>(dst.data) + first;
      for (std::int64_t k = 0; k < num_k; ++k) to[k * dst.k_stride] = row[k];
    } else {
      auto* to = static_cast<std::uint16_t*>(dst.data) + first;
      for (std::int64_t k = 0; k < num_k; ++k) to[k * dst.k_stride] = float_to_bf16(row[k]);
    }
  }
}

void store_checkpoints(const HostCall& call, std::int64_t n, std::int64_t v_head,
                       std::int64_t offset, std::int64_t v_begin, std::int64_t num_v,
                       const float* src, std::int64_t src_pitch) {
  const CheckpointSpec& spec = call.problem().checkpoints;
  const std::int64_t num_k = call.problem().head_dim_k;
  if (spec.kind == CheckpointKind::kEvery) {  // one row per offset: no search
    if (offset % spec.every != 0) return;
    store_state(call.checkpoint_at(n, offset / spec.every - 1, offset, v_head), v_begin, num_v,
                num_k, src, src_pitch);
    return;
  }
  const std::int64_t entries = call.num_checkpoint_entries(n);
  for (std::int64_t entry = 0; entry < entries; ++entry) {
    store_state(call.checkpoint_at(n, entry, offset, v_head), v_begin, num_v, num_k, src,
                src_pitch);
  }
}

}  // namespace flash_kda
