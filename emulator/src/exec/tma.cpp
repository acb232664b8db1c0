#include "exec/tma.hpp"

#include <algorithm>

#include "exec/access.hpp"
#include "exec/counters.hpp"
#include "exec/mbarrier.hpp"
#include "exec/memory.hpp"

namespace emulator {
namespace {

constexpr u32 kOffsetMask = (1u << kSharedRankShift) - 1;

// A run of bytes that is contiguous on both sides. global == 0: outside of the tensor.
struct Run {
  u32 shared;
  u32 bytes;
  u64 global;
};

u32 box_extent(const TensorMap& t, u32 d) {
  return (t.box[d] + t.traversal[d] - 1u) / t.traversal[d];
}

u32 box_bytes(const TensorMap& t) {
  u32 n = t.element_bytes;
  for (u32 d = 0; d < t.rank; ++d) n *= box_extent(t, d);
  return n;
}

void add_run(std::vector<Run>& runs, u32 shared, u32 bytes, u64 global, u32 swizzle) {
  if (!swizzle) {
    runs.push_back({shared, bytes, global});
    return;
  }
  // The swizzle permutes 16-byte pieces.
  while (bytes) {
    const u32 piece = std::min(bytes, 16 - (shared & 15));
    runs.push_back({swizzle_offset(shared, swizzle), piece, global});
    shared += piece;
    bytes -= piece;
    if (global) global += piece;
  }
}

void add_row(std::vector<Run>& runs, const TensorMap& t, u32 shared, u64 row, s32 x0) {
  const u32 n = box_extent(t, 0), e = t.element_bytes;
  if (row == 0) return add_run(runs, shared, n * e, 0, t.swizzle);
  if (t.traversal[0] != 1) {
    for (u32 k = 0; k < n; ++k) {
      const s64 x = s64{x0} + k * t.traversal[0];
      const bool in = x >= 0 && x < t.dim[0];
      add_run(runs, shared + k * e, e, in ? row + static_cast<u64>(x) * e : 0, t.swizzle);
    }
    return;
  }
  const s64 low = std::clamp<s64>(-s64{x0}, 0, n);
  const s64 high = std::clamp<s64>(s64{t.dim[0]} - x0, low, n);
  if (low) add_run(runs, shared, static_cast<u32>(low) * e, 0, t.swizzle);
  if (high > low)
    add_run(runs, shared + static_cast<u32>(low) * e, static_cast<u32>(high - low) * e,
            row + static_cast<u64>((x0 + low) * e), t.swizzle);
  if (high < n)
    add_run(runs, shared + static_cast<u32>(high) * e, static_cast<u32>(n - high) * e, 0,
            t.swizzle);
}

std::vector<Run> tensor_runs(const TensorMap& t, u32 shared, const s32* at) {
  std::vector<Run> runs;
  u32 extent[5] = {1, 1, 1, 1, 1}, step[5] = {0, 0, 0, 0, 0};
  for (u32 d = 1; d < t.rank; ++d) extent[d] = box_extent(t, d);
  const u32 row_bytes = box_extent(t, 0) * t.element_bytes;
  const u32 rows = extent[1] * extent[2] * extent[3] * extent[4];
  runs.reserve(rows * (t.swizzle ? row_bytes / 16 : 1));
  for (u32 r = 0; r < rows; ++r) {
    u64 row = t.base;
    bool in = true;
    for (u32 d = 1; d < t.rank; ++d) {
      const s64 x = s64{at[d]} + step[d] * t.traversal[d];
      in &= x >= 0 && x < t.dim[d];
      row += static_cast<u64>(x) * t.stride[d - 1];
    }
    add_row(runs, t, shared + r * row_bytes, in ? row : 0, at[0]);
    for (u32 d = 1; d < 5 && ++step[d] == extent[d]; ++d) step[d] = 0;
  }
  return runs;
}

struct BulkOp final : AsyncOp {
  std::vector<Run> runs;
  std::vector<u8> buffer;  // what a store has read
  Cta* shared_cta = nullptr;
  const u8* source = nullptr;  // shared to shared
  u32 mbarrier = 0;
  u32 total = 0;
  u8 fill = 0;
  TensorElement element = TensorElement::kU8;
  BulkReduction reduction = BulkReduction::kNone;
  bool is_load = false;

  void read_source(Cta&) override {
    if (is_load) return;
    buffer.resize(total);
    u32 n = 0;
    for (const Run& r : runs) {
      std::memcpy(buffer.data() + n, shared_cta->shared + r.shared, r.bytes);
      n += r.bytes;
    }
  }

  void finish(Cta& cta) override {
    if (is_load) {
      land();
    } else {
      write_global();
    }
    if (auto* o = cta.observer.get()) o->bulk_end(observed);
    if (!is_load) return;
    MbarrierChange change;
    change.complete_tx = static_cast<s32>(total);
    mbarrier_update(cta.warps[warp], *inst, mbarrier, change);
  }

  void land() {
    u32 n = 0;
    for (const Run& r : runs) {
      u8* to = shared_cta->shared + r.shared;
      if (source) {
        if (reduction != BulkReduction::kNone) {
          reduce_bytes(to, source + n, r.bytes, element, reduction);
        } else {
          std::memcpy(to, source + n, r.bytes);
        }
      } else if (r.global) {
        std::memcpy(to, reinterpret_cast<const u8*>(r.global), r.bytes);
      } else {
        std::memset(to, fill, r.bytes);
      }
      n += r.bytes;
    }
  }

  void write_global() {
    u32 n = 0;
    for (const Run& r : runs) {
      if (r.global) {
        u8* to = reinterpret_cast<u8*>(r.global);
        if (reduction != BulkReduction::kNone) {
          reduce_bytes(to, buffer.data() + n, r.bytes, element, reduction);
        } else {
          std::memcpy(to, buffer.data() + n, r.bytes);
        }
      }
      n += r.bytes;
    }
  }
};

[[noreturn, gnu::cold]] void illegal(Warp& w, const Inst& i, u32 lane, const std::string& text) {
  if (auto* o = observer_of(w))
    o->violation(event_of(w, i, 1u << lane), check::Rule::kIllegal, text);
  fault(w, i, FaultKind::kHardwareRule, "lane %u: %s", lane, text.c_str());
}

// The map may lie in parameters, in constant or in global memory.
const TensorMap& map_at(Warp& w, const Inst& i, const BulkRequest& r) {
  const u64 address = r.global;
  if (address & 63) illegal(w, i, r.lane(), "tensor map is not aligned to 64 bytes");
  if (!DeviceMemory::instance().contains(address, 128))
    illegal(w, i, r.lane(), "tensor map: " + DeviceMemory::instance().explain(address, 128));
  const auto& t = *reinterpret_cast<const TensorMap*>(address);
  if (t.magic != TensorMap::kMagic) illegal(w, i, r.lane(), "not a tensor map (never encoded)");
  if (t.rank != r.coordinates)
    illegal(w, i, r.lane(),
            format_text("tensor map has rank %u, the copy %u", t.rank, r.coordinates));
  // Not in the PTX ISA's text, but an H200 stops with an illegal instruction.
  if (r.at[0] * s64{t.element_bytes} % 16 != 0)
    illegal(w, i, r.lane(),
            format_text("first coordinate %d of a tensor copy: elements have %u bytes, and a row "
                        "must begin at a multiple of 16 bytes",
                        r.at[0], t.element_bytes));
  return t;
}

void check_plain(Warp& w, const Inst& i, const BulkRequest& r) {
  if (r.bytes & 15 || r.bytes == 0)
    illegal(w, i, r.lane(),
            format_text("bulk copy of %u bytes; must be a multiple of 16", r.bytes));
  if (r.shared & 15)
    illegal(w, i, r.lane(), format_text("shared address 0x%x is not aligned to 16", r.shared));
  if (!r.shared_to_shared) global_pointer(w, i, r.global, r.bytes, 16);
}

void check_runs(Warp& w, const Inst& i, const BulkRequest& r, const std::vector<Run>& runs) {
  for (const Run& run : runs)
    if (run.global && !DeviceMemory::instance().contains(run.global, run.bytes)) {
      const std::string text = DeviceMemory::instance().explain(run.global, run.bytes);
      if (auto* o = observer_of(w))
        o->violation(event_of(w, i, 1u << r.lane()), check::Rule::kOutOfBounds, text);
      fault(w, i, FaultKind::kIllegalAddress, "lane %u: tensor copy: %s", r.lane(), text.c_str());
    }
}

check::AsyncId announce(Warp& w, const Inst& i, const BulkRequest& r, const BulkOp& op,
                        bool map_global) {
  auto* o = observer_of(w);
  if (!o) return 0;
  std::vector<check::CopySegment> segments;
  for (const Run& run : op.runs) segments.push_back({run.shared, run.bytes, run.global});
  check::BulkCopy copy;
  copy.kind = r.shared_to_shared                    ? check::BulkKind::kSharedToShared
              : r.is_load                           ? check::BulkKind::kLoad
              : r.reduction == BulkReduction::kNone ? check::BulkKind::kStore
                                                    : check::BulkKind::kReduce;
  copy.lane = r.lane();
  copy.shared_cta = op.shared_cta->linear_id;
  if (r.is_load) {
    copy.mbarrier_cta = shared_owner(w, i, op.mbarrier)->linear_id;
    copy.mbarrier_offset = op.mbarrier & kOffsetMask;
  }
  if (r.is_tensor && map_global) copy.tensormap = r.global;
  copy.segments = segments;
  check::SharedSegment source;
  if (r.shared_to_shared) {
    source = {r.source_shared & kOffsetMask, r.bytes};
    copy.source = {&source, 1};
  }
  return o->bulk_begin(event_of(w, i, 1u << r.lane()), copy);
}

// Returns the bytes that it moves.
u32 issue_one(Warp& w, const Inst& i, const BulkRequest& r, u32 shared, u32 mbarrier) {
  auto op = std::make_unique<BulkOp>();
  op->kind = r.is_load ? AsyncOp::Kind::kBulkLoad : AsyncOp::Kind::kBulkStore;
  op->mask = r.lanes;
  op->group = w.bulk_groups[r.lane()];
  op->is_load = r.is_load;
  op->reduction = r.reduction;
  op->element = r.element;
  op->mbarrier = mbarrier;
  bool map_global = false;
  if (r.is_tensor) {
    const TensorMap& t = map_at(w, i, r);
    AllocationInfo info;
    map_global = DeviceMemory::instance().find(r.global, info) && info.kind != MemoryKind::kParams;
    op->total = box_bytes(t);
    op->element = t.element;
    op->fill = t.nan_fill ? 0xff : 0;
    if (shared & 127)
      illegal(w, i, r.lane(), format_text("shared address 0x%x is not aligned to 128", shared));
    shared_pointer(w, i, shared, op->total, 16, &op->shared_cta);
    op->runs = tensor_runs(t, shared & kOffsetMask, r.at);
    check_runs(w, i, r, op->runs);
  } else {
    check_plain(w, i, r);
    op->total = r.bytes;
    shared_pointer(w, i, shared, r.bytes, 16, &op->shared_cta);
    if (r.shared_to_shared)
      op->source = shared_pointer(w, i, r.source_shared, r.bytes, 16, nullptr);
    op->runs.push_back({shared & kOffsetMask, r.bytes, r.shared_to_shared ? 0 : r.global});
  }
  if (r.is_load) mbarrier_load(w, i, mbarrier, nullptr);
  op->observed = announce(w, i, r, *op, map_global);
  // The destination holds NaN until the data lands, so that reading early cannot go unnoticed.
  if (r.is_load && r.reduction == BulkReduction::kNone)
    for (const Run& run : op->runs)
      std::memset(op->shared_cta->shared + run.shared, 0xff, run.bytes);
  const u32 bytes = op->total;
  enqueue(w, i, std::move(op));
  return bytes;
}

}  // namespace

void issue_bulk(Warp& w, const Inst& i, const BulkRequest& r) {
  InstCount* count = counts_of(w, i);
  if (!r.multicast) {
    const u32 bytes = issue_one(w, i, r, r.shared, r.mbarrier);
    if (count) count->copy_bytes += bytes;
    return;
  }
  u32 bytes = 0;
  const u32 ranks = static_cast<u32>(w.cta->cluster->ctas.size());
  if (r.multicast >> ranks)
    illegal(
        w, i, r.lane(),
        format_text("multicast mask 0x%x names CTAs beyond a cluster of %u", r.multicast, ranks));
  for (u32 rank = 0; rank < ranks; ++rank)
    if (r.multicast >> rank & 1)
      bytes = issue_one(w, i, r, rank << kSharedRankShift | (r.shared & kOffsetMask),
                        rank << kSharedRankShift | (r.mbarrier & kOffsetMask));
  if (count) count->copy_bytes += bytes;
}

}  // namespace emulator
