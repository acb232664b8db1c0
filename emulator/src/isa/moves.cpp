// mov (also packing and unpacking), cvta, isspacep, and reads of clocks.
#include <chrono>

#include "exec/launch.hpp"
#include "isa/handlers.hpp"
#include "isa/lanes.hpp"
#include "isa/special.hpp"

namespace emulator::isa {
namespace {

template <class T>
void move_lanes(Warp& w, const Inst& i, u32 mask) {
  const T* a = w.reg<T>(i.a);
  store_lanes(w.reg<T>(i.d), mask, [=](u32 l) { return a[l]; });
}

void move_wide(Warp& w, const Inst& i, u32 mask) {
  struct Wide {
    u64 v[2];
  };
  const Wide* a = w.reg<Wide>(i.a);
  Wide* d = w.reg<Wide>(i.d);
  for_lanes(mask, [=](u32 l) { d[l] = a[l]; });
}

void move_predicate(Warp& w, const Inst& i, u32 mask) {
  set_predicate(w, i.d, mask, w.predicate(i.a));
}

template <class Part, class Whole>
void unpack_lanes(Warp& w, const Inst& i, u32 mask) {
  const Whole* a = w.reg<Whole>(i.a);
  for (u32 k = 0; k < i.op_count; ++k) {
    const u32 shift = k * sizeof(Part) * 8;
    store_lanes(w.reg<Part>(i.ops[k]), mask,
                [=](u32 l) { return static_cast<Part>(a[l] >> shift); });
  }
}

template <class Part, class Whole>
void pack_pair_lanes(Warp& w, const Inst& i, u32 mask) {
  const Part *a = w.reg<Part>(i.ops[0]), *b = w.reg<Part>(i.ops[1]);
  store_lanes(w.reg<Whole>(i.d), mask, [=](u32 l) {
    return static_cast<Whole>(static_cast<Whole>(a[l]) | static_cast<Whole>(b[l])
                                                             << (sizeof(Part) * 8));
  });
}

// Any number of parts of any size, byte by byte.
void pack_bytes(Warp& w, const Inst& i, u32 mask) {
  const u32 part = static_cast<u32>(i.imm), whole = part * i.op_count;
  for_lanes(mask, [&](u32 l) {
    for (u32 k = 0; k < i.op_count; ++k)
      std::memcpy(w.regs + i.d + size_t{l} * whole + k * part, w.regs + i.ops[k] + size_t{l} * part,
                  part);
  });
}
void unpack_bytes(Warp& w, const Inst& i, u32 mask) {
  const u32 part = static_cast<u32>(i.imm), whole = part * i.op_count;
  for_lanes(mask, [&](u32 l) {
    for (u32 k = 0; k < i.op_count; ++k)
      std::memcpy(w.regs + i.ops[k] + size_t{l} * part, w.regs + i.a + size_t{l} * whole + k * part,
                  part);
  });
}

u64 nanoseconds() {
  return static_cast<u64>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                              std::chrono::steady_clock::now().time_since_epoch())
                              .count());
}

// clock counts the warp's own instructions, so that a run is repeatable; globaltimer counts rounds.
u64 time_value(Warp& w, Special s) {
  const u64 clock = w.clock_base + w.warp_insts;
  const u64 timer = options().seed ? w.cta->cluster->round * 1000 + w.warp_insts : nanoseconds();
  switch (s) {
    case Special::kClock:
      return static_cast<u32>(clock);
    case Special::kClockHi:
      return clock >> 32;
    case Special::kClock64:
      return clock;
    case Special::kGlobaltimer:
      return timer;
    case Special::kGlobaltimerLo:
      return static_cast<u32>(timer);
    default:
      return timer >> 32;
  }
}

void read_time(Warp& w, const Inst& i, u32 mask) {
  const u64 v = time_value(w, static_cast<Special>(i.flags));
  if (i.imm == 8) {
    store_lanes(w.reg<u64>(i.d), mask, [=](u32) { return v; });
  } else {
    store_lanes(w.reg<u32>(i.d), mask, [=](u32) { return static_cast<u32>(v); });
  }
}

void decode_unpack(Decode& d, u32 size) {
  const u32 parts = static_cast<u32>(d.op(0).elements.size());
  const u32 part = size / parts;
  d.inst.a = d.use(1, size);
  std::vector<u32> list;
  for (const auto& e : d.op(0).elements) list.push_back(d.builder.def(e, part));
  d.set_ops(std::move(list));
  d.inst.imm = part;
  d.inst.run = &unpack_bytes;
  if (parts == 2 && size == 4) d.inst.run = &unpack_lanes<u16, u32>;
  if (parts == 2 && size == 8) d.inst.run = &unpack_lanes<u32, u64>;
  if (parts == 4 && size == 8) d.inst.run = &unpack_lanes<u16, u64>;
}

void decode_pack(Decode& d, u32 size) {
  const u32 parts = static_cast<u32>(d.op(1).elements.size());
  const u32 part = size / parts;
  std::vector<u32> list;
  for (const auto& e : d.op(1).elements) list.push_back(d.builder.use(e, part));
  d.set_ops(std::move(list));
  d.inst.d = d.def(0, size);
  d.inst.imm = part;
  d.inst.run = &pack_bytes;
  if (parts == 2 && size == 4) d.inst.run = &pack_pair_lanes<u16, u32>;
  if (parts == 2 && size == 8) d.inst.run = &pack_pair_lanes<u32, u64>;
}

void decode_mov(Decode& d) {
  const u32 size = ptx::type_bytes(d.mods.take_last());
  if (size == kNone) reject("unknown type");
  if (d.op(0).kind == ptx::Operand::Kind::kVector) return decode_unpack(d, size);
  if (d.op(1).kind == ptx::Operand::Kind::kVector) return decode_pack(d, size);
  Special special;
  u32 special_size;
  if (d.op(1).kind == ptx::Operand::Kind::kName &&
      find_special(d.op(1).name, special, special_size) && changes_with_time(special)) {
    d.inst.flags = static_cast<u32>(special);
    d.inst.imm = size;
    d.inst.d = d.def(0, size);
    d.inst.run = &read_time;
    return;
  }
  d.inst.a = d.use(1, size);
  d.inst.d = d.def(0, size);
  switch (size) {
    case 0:
      d.inst.run = &move_predicate;
      break;
    case 1:
      d.inst.run = &move_lanes<u8>;
      break;
    case 2:
      d.inst.run = &move_lanes<u16>;
      break;
    case 4:
      d.inst.run = &move_lanes<u32>;
      break;
    case 8:
      d.inst.run = &move_lanes<u64>;
      break;
    default:
      d.inst.run = &move_wide;
  }
}

template <u64 kTag>
void tag_lanes(Warp& w, const Inst& i, u32 mask) {
  const u64* a = w.reg<u64>(i.a);
  store_lanes(w.reg<u64>(i.d), mask, [=](u32 l) { return a[l] | kTag; });
}
void untag_lanes(Warp& w, const Inst& i, u32 mask) {
  const u64* a = w.reg<u64>(i.a);
  store_lanes(w.reg<u64>(i.d), mask, [=](u32 l) { return a[l] & ~kTagMask; });
}

void decode_cvta(Decode& d) {
  const std::string_view type = d.mods.take_last();
  if (type != "u64") reject("only 64-bit addresses are supported");
  const bool to = d.mods.take("to");
  const std::string_view space =
      d.mods.take_one_of({"shared", "shared::cta", "shared::cluster", "local", "global", "const",
                          "param", "param::entry", "param::func"});
  if (space.empty()) reject("needs a state space");
  d.inst.a = d.use(1, 8);
  d.inst.d = d.def(0, 8);
  const bool shared = space.substr(0, 6) == "shared";
  if (to) {
    d.inst.run = shared || space == "local" ? &untag_lanes : &move_lanes<u64>;
  } else {
    d.inst.run = shared             ? &tag_lanes<kSharedTag>
                 : space == "local" ? &tag_lanes<kLocalTag>
                                    : &move_lanes<u64>;
  }
}

// inst.flags: 0 global, 1 shared::cta, 2 shared::cluster, 3 local, 4 const or param
void isspacep_lanes(Warp& w, const Inst& i, u32 mask) {
  const u64* a = w.reg<u64>(i.a);
  const Grid& grid = *w.cta->grid;
  u32 r = 0;
  for_lanes(mask, [&](u32 l) {
    const u64 tag = a[l] & kTagMask;
    const u64 params = reinterpret_cast<u64>(grid.params);
    const bool is_param = a[l] >= params && a[l] < params + w.kernel->param_bytes;
    bool yes = false;
    if (i.flags == 0) yes = tag == 0 && !is_param;
    if (i.flags == 1)
      yes = tag == kSharedTag && static_cast<u32>(a[l]) >> kSharedRankShift == w.cta->rank;
    if (i.flags == 2) yes = tag == kSharedTag;
    if (i.flags == 3) yes = tag == kLocalTag;
    if (i.flags == 4) yes = tag == 0 && is_param;
    r |= u32{yes} << l;
  });
  set_predicate(w, i.d, mask, r);
}

void decode_isspacep(Decode& d) {
  static constexpr std::pair<std::string_view, u32> kSpaces[] = {
      {"global", 0}, {"shared", 1}, {"shared::cta", 1},  {"shared::cluster", 2},
      {"local", 3},  {"const", 5},  {"param::entry", 4}, {"param", 4}};
  u32 which = 6;
  for (const auto& [name, value] : kSpaces)
    if (d.mods.take(name)) which = value;
  if (which == 6) reject("unknown state space");
  d.inst.flags = which;
  d.inst.a = d.use(1, 8);
  d.inst.d = d.def_predicate(0);
  d.inst.run = &isspacep_lanes;
}

}  // namespace

void add_moves(Registry& r) {
  r.family("mov", &decode_mov);
  r.family("cvta", &decode_cvta);
  r.family("isspacep", &decode_isspacep);
}

}  // namespace emulator::isa
