// Bulk copies between global and shared memory, plain or by tensor map.
#pragma once

#include "exec/async.hpp"
#include "exec/tensor_map.hpp"
#include "exec/warp.hpp"

namespace emulator {

enum class BulkReduction : u8 { kNone, kAdd, kMin, kMax, kInc, kDec, kAnd, kOr, kXor };

struct BulkRequest {
  u32 lanes = 1;  // that share it
  bool is_load = false;
  bool is_tensor = false;
  bool shared_to_shared = false;
  BulkReduction reduction = BulkReduction::kNone;
  TensorElement element = TensorElement::kU8;
  u32 shared = 0;         // destination of a load, source of a store; with rank bits
  u32 source_shared = 0;  // shared_to_shared only
  u64 global = 0;         // data, or the tensor map
  u32 mbarrier = 0;
  u32 bytes = 0;
  u32 coordinates = 0;
  s32 at[5] = {0, 0, 0, 0, 0};
  u16 multicast = 0;  // 0: only the CTA that `shared` names
  bool operator==(const BulkRequest&) const = default;
  u32 lane() const { return lowest_lane(lanes); }
};

void issue_bulk(Warp& w, const Inst& i, const BulkRequest& request);

// data[k] = data[k] op source[k] for `bytes` of elements.
void reduce_bytes(u8* data, const u8* source, u32 bytes, TensorElement element, BulkReduction op);

}  // namespace emulator
