// cp.async.bulk, cp.reduce.async.bulk and their tensor forms (TMA), st.async and red.async.
#include "exec/access.hpp"
#include "exec/async.hpp"
#include "exec/mbarrier.hpp"
#include "exec/tma.hpp"
#include "isa/handlers.hpp"
#include "isa/lanes.hpp"
#include "isa/memory_order.hpp"

namespace emulator::isa {
namespace {

// inst.flags
constexpr u32 kLoad = 1, kTensor = 2, kShared64 = 4, kMbar64 = 8, kMulticast = 16,
              kSharedToShared = 32, kDestination64 = 64, kReduceShift = 8, kTypeShift = 12;

BulkRequest request_of(Warp& w, const Inst& i, u32 l) {
  BulkRequest r;
  r.is_load = i.flags & kLoad;
  r.is_tensor = i.flags & kTensor;
  r.shared_to_shared = i.flags & kSharedToShared;
  r.reduction = static_cast<BulkReduction>(i.flags >> kReduceShift & 15);
  r.element = static_cast<TensorElement>(i.flags >> kTypeShift & 15);
  auto shared = [&](u32 reg, u32 wide) {
    return i.flags & wide ? static_cast<u32>(w.reg<u64>(reg)[l]) : w.reg<u32>(reg)[l];
  };
  const s64 other_offset = i.imm >> 32;
  r.shared = shared(i.a, kShared64) + static_cast<u32>(i.imm);
  if (r.shared_to_shared) {
    r.source_shared = shared(i.b, kDestination64) + static_cast<u32>(other_offset);
  } else {
    r.global = w.reg<u64>(i.b)[l] + static_cast<u64>(other_offset);
  }
  if (i.c != kNone) r.mbarrier = shared(i.c, kMbar64) + i.target;
  if (!r.is_tensor) r.bytes = w.reg<u32>(i.e)[l];
  r.coordinates = i.op_count;
  if (i.flags & kMulticast) {
    --r.coordinates;
    r.multicast = w.reg<u16>(i.ops[i.op_count - 1])[l];
  }
  for (u32 k = 0; k < r.coordinates; ++k) r.at[k] = w.reg<s32>(i.ops[k])[l];
  return r;
}

void issue_lanes(Warp& w, const Inst& i, u32 mask) {
  while (mask) {
    BulkRequest r = request_of(w, i, lowest_lane(mask));
    r.lanes = mask & (0 - mask);
    // Epilogues let a whole warp execute one store. Equal stores of a warp are one: hardware
    // issues them from the uniform datapath.
    const bool merges = !r.is_load && r.reduction == BulkReduction::kNone;
    if (merges)
      for_lanes(mask & (mask - 1), [&](u32 l) {
        BulkRequest other = request_of(w, i, l);
        other.lanes = r.lanes;
        if (other == r) r.lanes |= 1u << l;
      });
    mask &= ~r.lanes;
    issue_bulk(w, i, r);
  }
}

void commit_lanes(Warp& w, const Inst& i, u32 mask) {
  for_lanes(mask, [&](u32 l) { ++w.bulk_groups[l]; });
  if (auto* o = observer_of(w)) o->bulk_commit(event_of(w, i, mask));
}

constexpr u32 kReadOnly = 1;

Step wait_lanes(Warp& w, const Inst& i, Group&, u32 mask) {
  const u32 allowed = static_cast<u32>(i.imm);
  for (const auto& op : w.cta->pending) {
    if (op->kind != AsyncOp::Kind::kBulkStore || op->warp != w.id || !(op->mask & mask)) continue;
    if ((i.flags & kReadOnly) && op->source_read) continue;
    if (op->group + allowed < w.bulk_groups[lowest_lane(op->mask)]) return Step::kStall;
  }
  if (auto* o = observer_of(w))
    o->bulk_wait(event_of(w, i, mask), allowed,
                 i.flags & kReadOnly ? check::CtaObserver::BulkWait::kRead
                                     : check::CtaObserver::BulkWait::kComplete);
  return Step::kDone;
}

void nothing(Warp&, const Inst&, u32) {}

void take_shared(Decode& d, const ptx::Operand& o) {
  if (d.address(o, d.inst.a) == 8) d.inst.flags |= kShared64;
}

void take_reduction(Decode& d, bool tensor) {
  static constexpr std::pair<std::string_view, BulkReduction> kOps[] = {
      {"add", BulkReduction::kAdd}, {"min", BulkReduction::kMin}, {"max", BulkReduction::kMax},
      {"inc", BulkReduction::kInc}, {"dec", BulkReduction::kDec}, {"and", BulkReduction::kAnd},
      {"or", BulkReduction::kOr},   {"xor", BulkReduction::kXor}};
  BulkReduction found = BulkReduction::kNone;
  for (const auto& [name, op] : kOps)
    if (d.mods.take(name)) found = op;
  if (found == BulkReduction::kNone) reject("needs a reduction");
  d.inst.flags |= static_cast<u32>(found) << kReduceShift;
  if (tensor) return;  // the tensor map knows the type
  static constexpr std::pair<std::string_view, TensorElement> kTypes[] = {
      {"u32", TensorElement::kU32}, {"s32", TensorElement::kS32},   {"b32", TensorElement::kU32},
      {"u64", TensorElement::kU64}, {"s64", TensorElement::kS64},   {"b64", TensorElement::kU64},
      {"f16", TensorElement::kF16}, {"bf16", TensorElement::kBf16}, {"f32", TensorElement::kF32},
      {"f64", TensorElement::kF64}};
  const std::string_view type = d.mods.take_last();
  for (const auto& [name, element] : kTypes) {
    if (name != type) continue;
    d.inst.flags |= static_cast<u32>(element) << kTypeShift;
    return;
  }
  reject("unknown type ." + std::string(type));
}

void take_mbarrier(Decode& d, const ptx::Operand& o) {
  const s64 keep = d.inst.imm;
  if (d.address(o, d.inst.c) == 8) d.inst.flags |= kMbar64;
  d.inst.target = static_cast<u32>(d.inst.imm);
  d.inst.imm = keep;
}

bool is_shared(std::string_view s) { return s.substr(0, 6) == "shared"; }

// Operands after destination, source and (non-tensor) size: mbarrier, multicast mask, policy.
void take_rest(Decode& d, size_t at, bool load, std::vector<u32> coordinates) {
  const bool multicast = d.mods.take("multicast::cluster");
  take_cache_hints(d.mods);
  if (load) take_mbarrier(d, d.op(at++));
  if (multicast) {
    d.inst.flags |= kMulticast;
    coordinates.push_back(d.use(at++, 2));
  }
  d.set_ops(std::move(coordinates));
}

void decode_tensor(Decode& d, bool reduce) {
  const std::string_view rank = d.mods.take_one_of({"1d", "2d", "3d", "4d", "5d"});
  if (rank.empty()) reject("needs a rank");
  if (d.mods.take("prefetch")) {
    while (!d.mods.empty()) d.mods.take_last();
    d.inst.run = &nothing;
    return;
  }
  d.mods.take("tile");
  if (d.mods.has("im2col") || d.mods.has("im2col_no_offs")) reject("im2col is not supported");
  d.mods.take("cta_group::1");
  if (reduce) take_reduction(d, /*tensor=*/true);
  const bool load = d.mods.take("mbarrier::complete_tx::bytes");
  if (!load && !d.mods.take("bulk_group")) reject("needs a completion mechanism");
  if (!d.mods.take("global")) reject("unknown state spaces");
  if (d.mods.take_one_of({"shared::cluster", "shared::cta"}).empty())
    reject("unknown state spaces");
  d.inst.flags |= kTensor | (load ? kLoad : 0);
  const ptx::Operand& map = d.op(load ? 1 : 0);
  take_shared(d, d.op(load ? 0 : 1));
  const s64 shared_offset = d.inst.imm;
  if (map.elements.size() != 2) reject("needs [tensor map, {coordinates}]");
  ptx::Operand base = map;
  base.elements.resize(1);
  if (d.address(base, d.inst.b) != 8) reject("tensor map address must have 64 bits");
  d.inst.imm = d.inst.imm << 32 | (shared_offset & 0xffffffff);
  std::vector<u32> coordinates = d.use_list(map.elements[1], 4);
  if (coordinates.size() != static_cast<size_t>(rank[0] - '0'))
    reject("wrong number of coordinates");
  take_rest(d, 2, load, std::move(coordinates));
  d.inst.run = &issue_lanes;
}

void decode_plain(Decode& d, bool reduce) {
  const bool load = d.mods.take("mbarrier::complete_tx::bytes");
  if (!load && !d.mods.take("bulk_group")) reject("needs a completion mechanism");
  if (reduce) take_reduction(d, /*tensor=*/false);
  d.mods.take("noftz");
  if (d.mods.size() < 2) reject("unknown state spaces");
  const std::string_view to = d.mods[0], from = d.mods[1];
  d.mods.take(to);
  d.mods.take(from);
  d.inst.flags |= load ? kLoad : 0;
  const bool both = is_shared(to) && is_shared(from);
  if (both) d.inst.flags |= kSharedToShared;
  if (load != is_shared(to) || (!both && from != "global" && to != "global"))
    reject("unknown state spaces");
  take_shared(d, d.op(load ? 0 : 1));
  const s64 shared_offset = d.inst.imm;
  const u32 width = d.address(d.op(load ? 1 : 0), d.inst.b);
  if (both && width == 8) d.inst.flags |= kDestination64;
  if (!both && width != 8) reject("global address must have 64 bits");
  d.inst.imm = d.inst.imm << 32 | (shared_offset & 0xffffffff);
  d.inst.e = d.use(2, 4);
  take_rest(d, 3, load, {});
  d.inst.run = &issue_lanes;
}

}  // namespace

void decode_bulk(Decode& d) {
  const bool reduce = d.mods.take("reduce");
  d.mods.take("async");
  d.mods.take("bulk");
  if (d.mods.take("commit_group")) {
    d.inst.run = &commit_lanes;
  } else if (d.mods.take("wait_group")) {
    d.inst.flags = d.mods.take("read") ? kReadOnly : 0;
    d.inst.imm = d.immediate(0);
    d.inst.flow = Flow::kWait;
    d.inst.wait = &wait_lanes;
  } else if (d.mods.take("tensor")) {
    decode_tensor(d, reduce);
  } else if (d.mods.take("prefetch")) {
    while (!d.mods.empty()) d.mods.take_last();
    d.inst.run = &nothing;
  } else {
    decode_plain(d, reduce);
  }
}

}  // namespace emulator::isa
