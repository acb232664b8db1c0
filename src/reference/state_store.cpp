#include "reference/state_store.hpp"

#include "reference/element_io.hpp"

namespace flash_kda::reference {

void read_state(const StateRef& src, Matrix S) {
  for (std::int64_t c = 0; c < S.rows; ++c) {
    for (std::int64_t j = 0; j < S.cols; ++j) {
      const std::int64_t index = j * src.v_stride + c * src.k_stride;
      S(c, j) = src ? load_element(src.data, src.dtype, index) : 0.0;
    }
  }
}

void write_state(const StateRef& dst, Matrix S) {
  if (!dst) return;
  for (std::int64_t c = 0; c < S.rows; ++c) {
    for (std::int64_t j = 0; j < S.cols; ++j) {
      store_element(dst.data, dst.dtype, j * dst.v_stride + c * dst.k_stride, S(c, j));
    }
  }
}

void write_checkpoints(const HostCall& call, std::int64_t n, std::int64_t v_head,
                       std::int64_t offset, Matrix S) {
  const CheckpointSpec& spec = call.problem().checkpoints;
  if (spec.kind == CheckpointKind::kEvery) {  // one row per offset: no search
    if (offset % spec.every != 0) return;
    write_state(call.checkpoint_at(n, offset / spec.every - 1, offset, v_head), S);
    return;
  }
  const std::int64_t entries = call.num_checkpoint_entries(n);
  for (std::int64_t entry = 0; entry < entries; ++entry) {
    write_state(call.checkpoint_at(n, entry, offset, v_head), S);
  }
}

}  // namespace flash_kda::reference
