// shfl, vote, match, redux, elect, activemask: lanes of a warp talking to each other.
#include "exec/access.hpp"
#include "isa/handlers.hpp"
#include "isa/lanes.hpp"
#include "num/fp.hpp"

namespace emulator::isa {
namespace {

enum class Shuffle { kIndex, kButterfly, kUp, kDown };

template <Shuffle kMode>
void shuffle_lanes(Warp& w, const Inst& i, u32 mask) {
  const u32 *a = w.reg<u32>(i.a), *b = w.reg<u32>(i.b), *clamp = w.reg<u32>(i.e);
  u32 result[kWarpSize], valid = 0;
  for (u32 l = 0; l < kWarpSize; ++l) {
    const u32 segment = clamp[l] >> 8 & 31, c = clamp[l] & 31, n = b[l] & 31;
    const s32 highest = static_cast<s32>((l & segment) | (c & ~segment & 31));
    s32 source = 0;
    bool in = false;
    switch (kMode) {
      case Shuffle::kIndex:
        source = static_cast<s32>((l & segment) | (n & ~segment & 31));
        in = source <= highest;
        break;
      case Shuffle::kButterfly:
        source = static_cast<s32>(l ^ n);
        in = source <= highest;
        break;
      case Shuffle::kUp:
        source = static_cast<s32>(l) - static_cast<s32>(n);
        in = source >= highest;
        break;
      case Shuffle::kDown:
        source = static_cast<s32>(l + n);
        in = source <= highest;
        break;
    }
    valid |= u32{in} << l;
    result[l] = a[in ? static_cast<u32>(source) & 31 : l];
  }
  store_lanes(w.reg<u32>(i.d), mask, [&](u32 l) { return result[l]; });
  if (i.op_count) set_predicate(w, i.ops[0], mask, valid);
}

void decode_shfl(Decode& d) {
  d.inst.flow = Flow::kMasked;
  d.mods.take("sync");
  if (d.mods.take_last() != "b32") reject("unknown type");
  const std::string_view mode = d.mods.take_one_of({"idx", "bfly", "up", "down"});
  d.inst.a = d.use(1, 4);
  d.inst.b = d.use(2, 4);
  d.inst.e = d.use(3, 4);
  d.inst.c = d.use(4, 4);
  if (d.op(0).kind == ptx::Operand::Kind::kPair) {
    d.inst.d = d.builder.def(d.op(0).elements[0], 4);
    d.set_ops({d.builder.def_predicate(d.op(0).elements[1])});
  } else {
    d.inst.d = d.def(0, 4);
  }
  d.inst.run = mode == "idx"    ? &shuffle_lanes<Shuffle::kIndex>
               : mode == "bfly" ? &shuffle_lanes<Shuffle::kButterfly>
               : mode == "up"   ? &shuffle_lanes<Shuffle::kUp>
               : mode == "down" ? &shuffle_lanes<Shuffle::kDown>
                                : nullptr;
  if (!d.inst.run) reject("unknown mode");
}

enum VoteFlags : u32 {
  kVoteNegated = 1,
  kVoteAll = 2,
  kVoteAny = 4,
  kVoteUni = 8,
  kVoteBallot = 16
};

void vote_lanes(Warp& w, const Inst& i, u32 mask) {
  u32 p = w.predicate(i.a);
  if (i.flags & kVoteNegated) p = ~p;
  p &= mask;
  if (i.flags & kVoteBallot) {
    store_lanes(w.reg<u32>(i.d), mask, [=](u32) { return p; });
    return;
  }
  const bool yes = i.flags & kVoteAll   ? p == mask
                   : i.flags & kVoteAny ? p != 0
                                        : p == 0 || p == mask;
  set_predicate(w, i.d, mask, yes ? kAllLanes : 0);
}

void decode_vote(Decode& d) {
  d.inst.flow = Flow::kMasked;
  if (!d.mods.take("sync")) reject("only vote.sync exists on this architecture");
  const std::string_view type = d.mods.take_last();
  const std::string_view mode = d.mods.take_one_of({"all", "any", "uni", "ballot"});
  d.inst.flags = mode == "all"   ? kVoteAll
                 : mode == "any" ? kVoteAny
                 : mode == "uni" ? kVoteUni
                                 : kVoteBallot;
  d.inst.a = d.use_predicate(1);
  if (d.op(1).negated) d.inst.flags |= kVoteNegated;
  d.inst.c = d.use(2, 4);
  if ((mode == "ballot") != (type == "b32")) reject("unknown type");
  d.inst.d = type == "b32" ? d.def(0, 4) : d.def_predicate(0);
  d.inst.run = &vote_lanes;
}

template <class T>
void match_any_lanes(Warp& w, const Inst& i, u32 mask) {
  const T* a = w.reg<T>(i.a);
  u32 result[kWarpSize] = {};
  for_lanes(mask,
            [&](u32 l) { for_lanes(mask, [&](u32 k) { result[l] |= u32{a[k] == a[l]} << k; }); });
  store_lanes(w.reg<u32>(i.d), mask, [&](u32 l) { return result[l]; });
}

template <class T>
void match_all_lanes(Warp& w, const Inst& i, u32 mask) {
  const T* a = w.reg<T>(i.a);
  bool same = true;
  const T first = a[lowest_lane(mask)];
  for_lanes(mask, [&](u32 l) { same &= a[l] == first; });
  store_lanes(w.reg<u32>(i.d), mask, [=](u32) { return same ? mask : 0u; });
  if (i.op_count) set_predicate(w, i.ops[0], mask, same ? kAllLanes : 0);
}

void decode_match(Decode& d) {
  d.inst.flow = Flow::kMasked;
  d.mods.take("sync");
  const u32 size = ptx::type_bytes(d.mods.take_last());
  const bool all = d.mods.take("all");
  if (!all && !d.mods.take("any")) reject("needs .any or .all");
  d.inst.a = d.use(1, size);
  d.inst.c = d.use(2, 4);
  if (d.op(0).kind == ptx::Operand::Kind::kPair) {
    d.inst.d = d.builder.def(d.op(0).elements[0], 4);
    d.set_ops({d.builder.def_predicate(d.op(0).elements[1])});
  } else {
    d.inst.d = d.def(0, 4);
  }
  d.inst.run = size == 4 ? (all ? &match_all_lanes<u32> : &match_any_lanes<u32>)
                         : (all ? &match_all_lanes<u64> : &match_any_lanes<u64>);
}

template <class T, class F>
void reduce_lanes(Warp& w, const Inst& i, u32 mask) {
  const T* a = w.reg<T>(i.a);
  T r = a[lowest_lane(mask)];
  for_lanes(mask & (mask - 1), [&](u32 l) { r = F{}(r, a[l]); });
  store_lanes(w.reg<T>(i.d), mask, [=](u32) { return r; });
}

template <class T, class F>
Handler reduction(F) {
  return &reduce_lanes<T, F>;
}

Handler find_reduction(std::string_view op, std::string_view type) {
  if (type == "b32") {
    if (op == "and") return reduction<u32>([](u32 x, u32 y) { return x & y; });
    if (op == "or") return reduction<u32>([](u32 x, u32 y) { return x | y; });
    if (op == "xor") return reduction<u32>([](u32 x, u32 y) { return x ^ y; });
  }
  if (op == "add" && (type == "u32" || type == "s32"))
    return reduction<u32>([](u32 x, u32 y) { return x + y; });
  if (type == "u32") {
    if (op == "min") return reduction<u32>([](u32 x, u32 y) { return x < y ? x : y; });
    if (op == "max") return reduction<u32>([](u32 x, u32 y) { return x > y ? x : y; });
  }
  if (type == "s32") {
    if (op == "min") return reduction<s32>([](s32 x, s32 y) { return x < y ? x : y; });
    if (op == "max") return reduction<s32>([](s32 x, s32 y) { return x > y ? x : y; });
  }
  if (type == "f32") {
    if (op == "min") return reduction<float>([](float x, float y) { return num::min_ptx(x, y); });
    if (op == "max") return reduction<float>([](float x, float y) { return num::max_ptx(x, y); });
  }
  return nullptr;
}

void decode_redux(Decode& d) {
  d.inst.flow = Flow::kMasked;
  d.mods.take("sync");
  const std::string_view type = d.mods.take_last();
  const std::string_view op = d.mods.take_one_of({"add", "min", "max", "and", "or", "xor"});
  d.inst.run = find_reduction(op, type);
  if (!d.inst.run) reject("unknown operation on this type");
  d.inst.a = d.use(1, 4);
  d.inst.c = d.use(2, 4);
  d.inst.d = d.def(0, 4);
}

void elect_lanes(Warp& w, const Inst& i, u32 mask) {
  const u32 leader = lowest_lane(mask);
  set_predicate(w, i.a, mask, 1u << leader);
  if (i.d != kNone) store_lanes(w.reg<u32>(i.d), mask, [=](u32) { return leader; });
}

void decode_elect(Decode& d) {
  d.inst.flow = Flow::kMasked;
  if (!d.mods.take("sync")) reject("needs .sync");
  if (d.op(0).kind != ptx::Operand::Kind::kPair) reject("needs d|p");
  d.inst.c = d.use(1, 4);
  d.inst.d = d.builder.def(d.op(0).elements[0], 4);
  d.inst.a = d.builder.def_predicate(d.op(0).elements[1]);
  d.inst.run = &elect_lanes;
}

void decode_activemask(Decode& d) {
  if (d.mods.take_last() != "b32") reject("unknown type");
  d.inst.d = d.def(0, 4);
  d.inst.run = [](Warp& w, const Inst& i, u32 mask) {
    store_lanes(w.reg<u32>(i.d), mask, [=](u32) { return mask; });
  };
}

}  // namespace

void add_warp_operations(Registry& r) {
  r.family("shfl", &decode_shfl);
  r.family("vote", &decode_vote);
  r.family("match", &decode_match);
  r.family("redux", &decode_redux);
  r.family("elect", &decode_elect);
  r.family("activemask", &decode_activemask);
}

}  // namespace emulator::isa
