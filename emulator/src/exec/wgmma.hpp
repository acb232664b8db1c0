// wgmma with its asynchrony: operands are read, and accumulators written, some time between commit
// and wait. Until then the accumulator registers hold NaN.
//
// An operation belongs to the four warps of a warpgroup: it runs as one, once all of them have
// issued it. Pipelines rely on that: one thread, after its own wait, releases what all four read.
#pragma once

#include <deque>
#include <span>
#include <vector>

#include "check/observer.hpp"
#include "exec/warp.hpp"
#include "num/matmul.hpp"

namespace emulator {

struct MatrixDescriptor {
  u32 start, leading, stride, swizzle;  // bytes; swizzle as in TensorMap
  static MatrixDescriptor unpack(u64 bits);
};

enum class Major : u8 { kK, kMn };

// Decoded form of one wgmma instruction; inst.flags holds it packed.
struct WgmmaForm {
  num::MatrixType type_a, type_b;
  u32 n, k;
  bool f16_accumulator, a_in_registers, negate_a, negate_b;
  Major major_a, major_b;
  u32 pack() const;
  static WgmmaForm unpack(u32 flags);
  u32 accumulator_registers() const { return f16_accumulator ? n / 4 : n / 2; }
};

struct WgmmaOp {
  const Inst* inst = nullptr;
  WgmmaForm form;
  u64 a = 0, b = 0;
  bool accumulate = false;
  u32 group = 0;
};

// Accumulators in flight, 16 x n.
struct WgmmaAccumulators {
  u32 key = 0;  // the first of their registers
  u32 n = 0;    // 0: free
  bool is_f16 = false;
  std::vector<float> values;
};

// Of one warp. Its oldest operation is number issued - ops.size().
struct WgmmaQueue {
  std::deque<WgmmaOp> ops;
  u32 committed = 0;
  u64 issued = 0;
  std::vector<WgmmaAccumulators> accumulators;
};

void wgmma_issue(Warp& w, const Inst& i);
void wgmma_commit(Warp& w, const Inst& i);
// False: other warps of the warpgroup have not issued all of it yet.
bool wgmma_wait_for(Warp& w, u32 pending_groups);
// A permuted schedule may run committed groups before anyone waits.
void wgmma_maybe_progress(Warp& w);

// The bytes that a descriptor names: `rows` x 32 bytes of K.
std::vector<check::SharedSegment> descriptor_segments(const MatrixDescriptor& d, Major major,
                                                      u32 rows, u32 k);

}  // namespace emulator
