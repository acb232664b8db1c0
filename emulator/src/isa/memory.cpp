// ld, st, prefetch and their relatives.
#include <atomic>

#include "exec/access.hpp"
#include "isa/handlers.hpp"
#include "isa/lanes.hpp"
#include "isa/memory_order.hpp"

namespace emulator::isa {
namespace {

// inst.flags: order and scope, then the width of the address register and of the elements.
constexpr u32 kAddress64 = 1 << 5;
constexpr u32 kElementShift = 8, kRegisterShift = 16, kSigned = 1 << 24;

u32 address_width(const Inst& i) { return i.flags & kAddress64 ? 8 : 4; }

template <check::AccessKind kKind>
void find_lanes(Warp& w, const Inst& i, u32 mask, u32 bytes, LanePointers& lanes) {
  load_addresses(w, i.a, address_width(i), i.imm, lanes.address);
  resolve(w, i, static_cast<Space>(i.space), mask, bytes,
          {kKind, bytes, order_of(i.flags), scope_of(i.flags)}, lanes);
}

template <class T>
bool consecutive(const LanePointers& lanes) {
  bool same = true;
  const u8* first = lanes.pointer[0];
  for (u32 l = 1; l < kWarpSize; ++l) same &= lanes.pointer[l] == first + l * sizeof(T);
  return same;
}

void after_load(Warp& w, const Inst& i, u32 mask, u32 bytes, const LanePointers& lanes) {
  if (order_of(i.flags) == check::Order::kWeak) return;
  std::atomic_thread_fence(std::memory_order_acquire);
  if (static_cast<Space>(i.space) == Space::kShared) return;
  if (auto* o = observer_of(w))
    o->global_value(event_of(w, i, mask),
                    {check::AccessKind::kLoad, bytes, order_of(i.flags), scope_of(i.flags)},
                    lanes.address);
}

template <class T, class R>
void load_lanes(Warp& w, const Inst& i, u32 mask) {
  LanePointers lanes;
  find_lanes<check::AccessKind::kLoad>(w, i, mask, sizeof(T), lanes);
  R* d = w.reg<R>(i.d);
  if (mask == kAllLanes && sizeof(T) == sizeof(R) && consecutive<T>(lanes)) {
    std::memcpy(d, lanes.pointer[0], sizeof(T) * kWarpSize);
  } else {
    for_lanes(mask, [&](u32 l) { d[l] = static_cast<R>(load_as<T>(lanes.pointer[l])); });
  }
  after_load(w, i, mask, sizeof(T), lanes);
}

template <class T, u32 kCount>
void load_vector(Warp& w, const Inst& i, u32 mask) {
  LanePointers lanes;
  find_lanes<check::AccessKind::kLoad>(w, i, mask, sizeof(T) * kCount, lanes);
  T* d[kCount];
  for (u32 k = 0; k < kCount; ++k) d[k] = w.reg<T>(i.ops[k]);
  auto one = [&](u32 l) {
    T v[kCount];
    std::memcpy(v, lanes.pointer[l], sizeof v);
    for (u32 k = 0; k < kCount; ++k) d[k][l] = v[k];
  };
  if (mask == kAllLanes) {
    for (u32 l = 0; l < kWarpSize; ++l) one(l);
  } else {
    for_lanes(mask, one);
  }
  after_load(w, i, mask, sizeof(T) * kCount, lanes);
}

// Any element size into any register size, a byte copy at a time.
void load_any(Warp& w, const Inst& i, u32 mask) {
  const u32 element = i.flags >> kElementShift & 0xff, size = i.flags >> kRegisterShift & 0xff;
  LanePointers lanes;
  find_lanes<check::AccessKind::kLoad>(w, i, mask, element * i.op_count, lanes);
  for_lanes(mask, [&](u32 l) {
    for (u32 k = 0; k < i.op_count; ++k) {
      u8 v[16] = {};
      std::memcpy(v, lanes.pointer[l] + k * element, element);
      if ((i.flags & kSigned) && (v[element - 1] & 0x80))
        std::memset(v + element, 0xff, 16 - element);
      std::memcpy(w.regs + i.ops[k] + size_t{l} * size, v, size);
    }
  });
  after_load(w, i, mask, element * i.op_count, lanes);
}

// ld.param of the kernel: the same bytes for all lanes, no address to check.
template <class T>
void load_uniform(Warp& w, const Inst& i, u32 mask) {
  const u64 at = w.reg<u64>(i.a)[0] + static_cast<u64>(i.imm);
  for (u32 k = 0; k < i.op_count; ++k) {
    const T v = load_as<T>(reinterpret_cast<const u8*>(at) + k * sizeof(T));
    store_lanes(w.reg<T>(i.ops[k]), mask, [=](u32) { return v; });
  }
}

template <class T>
void store_scalar(Warp& w, const Inst& i, u32 mask) {
  LanePointers lanes;
  find_lanes<check::AccessKind::kStore>(w, i, mask, sizeof(T), lanes);
  const T* v = w.reg<T>(i.ops[0]);
  note_activity(w);
  if (mask == kAllLanes && consecutive<T>(lanes)) {
    std::memcpy(lanes.pointer[0], v, sizeof(T) * kWarpSize);
  } else {
    for_lanes(mask, [&](u32 l) { store_as<T>(lanes.pointer[l], v[l]); });
  }
}

template <class T, u32 kCount>
void store_vector(Warp& w, const Inst& i, u32 mask) {
  LanePointers lanes;
  find_lanes<check::AccessKind::kStore>(w, i, mask, sizeof(T) * kCount, lanes);
  const T* s[kCount];
  for (u32 k = 0; k < kCount; ++k) s[k] = w.reg<T>(i.ops[k]);
  note_activity(w);
  auto one = [&](u32 l) {
    T v[kCount];
    for (u32 k = 0; k < kCount; ++k) v[k] = s[k][l];
    std::memcpy(lanes.pointer[l], v, sizeof v);
  };
  if (mask == kAllLanes) {
    for (u32 l = 0; l < kWarpSize; ++l) one(l);
  } else {
    for_lanes(mask, one);
  }
}

void store_any(Warp& w, const Inst& i, u32 mask) {
  const u32 element = i.flags >> kElementShift & 0xff, size = i.flags >> kRegisterShift & 0xff;
  LanePointers lanes;
  find_lanes<check::AccessKind::kStore>(w, i, mask, element * i.op_count, lanes);
  note_activity(w);
  for_lanes(mask, [&](u32 l) {
    for (u32 k = 0; k < i.op_count; ++k)
      std::memcpy(lanes.pointer[l] + k * element, w.regs + i.ops[k] + size_t{l} * size, element);
  });
}

template <template <class, u32> class Pick>
Handler by_shape(u32 element, size_t count) {
  if (element == 2 && count == 2) return Pick<u16, 2>::get();
  if (element == 2 && count == 4) return Pick<u16, 4>::get();
  if (element == 4 && count == 2) return Pick<u32, 2>::get();
  if (element == 4 && count == 4) return Pick<u32, 4>::get();
  if (element == 8 && count == 2) return Pick<u64, 2>::get();
  if (element == 8 && count == 4) return Pick<u64, 4>::get();
  if (element == 4 && count == 8) return Pick<u32, 8>::get();
  return nullptr;
}
template <class T, u32 kCount>
struct PickLoad {
  static Handler get() { return &load_vector<T, kCount>; }
};
template <class T, u32 kCount>
struct PickStore {
  static Handler get() { return &store_vector<T, kCount>; }
};

struct Shape {
  std::string_view type;
  u32 element, count, register_size;
};

Shape take_shape(Decode& d, const ptx::Operand& value) {
  Shape s{d.mods.take_last(), 0, 1, 0};
  s.element = ptx::type_bytes(s.type);
  if (s.element == 0 || s.element == kNone) reject("unknown type");
  if (d.mods.take("v2")) s.count = 2;
  if (d.mods.take("v4")) s.count = 4;
  if (d.mods.take("v8")) s.count = 8;
  const bool vector = value.kind == ptx::Operand::Kind::kVector;
  if ((s.count > 1) != vector || (vector && value.elements.size() != s.count))
    reject("vector width does not match the operand");
  s.register_size = s.element;
  auto look = [&](const ptx::Operand& o) {
    if (d.builder.is_register(o)) s.register_size = d.builder.register_size(o);
  };
  if (vector) {
    for (const auto& e : value.elements) look(e);
  } else {
    look(value);
  }
  if (s.register_size < s.element) reject("register is narrower than the type");
  return s;
}

// Everything but the value: space, order, hints, address.
void take_address(Decode& d, const ptx::Operand& address, const Shape& s) {
  const bool is_volatile = d.mods.take("volatile");
  const bool mmio = d.mods.take("mmio");
  check::Order order = take_order(d.mods, check::Order::kWeak);
  check::Scope scope = take_scope(d.mods, check::Scope::kGpu);
  if (is_volatile || mmio) {
    order = check::Order::kRelaxed;
    scope = check::Scope::kSys;
  }
  Space space = take_space(d.mods);
  take_cache_hints(d.mods);
  if (space == Space::kConstant && d.builder.is_local_param(address.elements[0].name))
    space = Space::kLocal;
  const u32 width = d.address(address, d.inst.a);
  d.inst.space = static_cast<u8>(space);
  if (order != check::Order::kWeak && space != Space::kShared)
    d.builder.kernel().communicates = true;
  d.inst.flags = pack_order(order, scope) | (width == 8 ? kAddress64 : 0) |
                 s.element << kElementShift | s.register_size << kRegisterShift;
}

void decode_ld(Decode& d) {
  const ptx::Operand& value = d.op(0);
  const Shape s = take_shape(d, value);
  take_address(d, d.op(1), s);
  d.mods.take("nc");
  d.mods.take("unified");
  std::vector<u32> list = d.def_list(value, s.register_size);
  const bool same = s.register_size == s.element;
  const ptx::Operand& base = d.op(1).elements[0];
  const bool uniform = static_cast<Space>(d.inst.space) == Space::kConstant && same &&
                       !d.builder.is_register(base) && s.element <= 8 && s.element >= 2;
  d.inst.d = list[0];
  if (s.count == 1 && !uniform && (same || s.register_size <= 8)) {
    const bool sign = s.type[0] == 's';
    if (same && s.element == 2) d.inst.run = &load_lanes<u16, u16>;
    if (same && s.element == 4) d.inst.run = &load_lanes<u32, u32>;
    if (same && s.element == 8) d.inst.run = &load_lanes<u64, u64>;
    if (s.element == 1 && s.register_size == 2)
      d.inst.run = sign ? &load_lanes<s8, u16> : &load_lanes<u8, u16>;
    if (s.element == 1 && s.register_size == 4)
      d.inst.run = sign ? &load_lanes<s8, u32> : &load_lanes<u8, u32>;
    if (s.element == 2 && s.register_size == 4)
      d.inst.run = sign ? &load_lanes<s16, u32> : &load_lanes<u16, u32>;
  }
  d.set_ops(std::move(list));
  if (uniform) {
    d.inst.run = s.element == 2   ? &load_uniform<u16>
                 : s.element == 4 ? &load_uniform<u32>
                                  : &load_uniform<u64>;
  }
  if (!d.inst.run && same) d.inst.run = by_shape<PickLoad>(s.element, s.count);
  if (!d.inst.run) {
    if (s.type[0] == 's') d.inst.flags |= kSigned;
    d.inst.run = &load_any;
  }
}

void decode_st(Decode& d) {
  if (d.mods.has("async")) return decode_st_async(d);
  const ptx::Operand& value = d.op(1);
  const Shape s = take_shape(d, value);

  take_address(d, d.op(0), s);
  if (static_cast<Space>(d.inst.space) == Space::kConstant) reject("store to .param or .const");
  d.set_ops(d.use_list(value, s.register_size));
  if (s.register_size == s.element) {
    if (s.count == 1 && s.element == 2) d.inst.run = &store_scalar<u16>;
    if (s.count == 1 && s.element == 4) d.inst.run = &store_scalar<u32>;
    if (s.count == 1 && s.element == 8) d.inst.run = &store_scalar<u64>;
    if (s.count > 1) d.inst.run = by_shape<PickStore>(s.element, s.count);
  }
  if (!d.inst.run) d.inst.run = &store_any;
}

void nothing(Warp&, const Inst&, u32) {}

// Hints without an effect here. Their operands are not even read.
void decode_hint(Decode& d) {
  while (!d.mods.empty()) d.mods.take_last();
  d.inst.run = &nothing;
}

void decode_createpolicy(Decode& d) {
  while (!d.mods.empty()) d.mods.take_last();
  d.inst.d = d.def(0, 8);
  d.inst.run = [](Warp& w, const Inst& i, u32 mask) {
    store_lanes(w.reg<u64>(i.d), mask, [](u32) { return u64{0}; });
  };
}

}  // namespace

void add_memory(Registry& r) {
  r.family("ld", &decode_ld);
  r.family("ldu", &decode_ld);
  r.family("st", &decode_st);
  r.family("prefetch", &decode_hint);
  r.family("prefetchu", &decode_hint);
  r.family("applypriority", &decode_hint);
  r.family("discard", &decode_hint);
  r.family("pmevent", &decode_hint);
  r.family("createpolicy", &decode_createpolicy);
}

}  // namespace emulator::isa
