// atom and red on global and shared memory.
#include <atomic>

#include "exec/access.hpp"
#include "isa/handlers.hpp"
#include "isa/lanes.hpp"
#include "isa/memory_order.hpp"
#include "num/fp.hpp"

namespace emulator::isa {
namespace {

enum class AtomicOp : u8 { kAdd, kMin, kMax, kInc, kDec, kAnd, kOr, kXor, kExch, kCas };

// Integer and bit operations on a word of type T.
template <class T, AtomicOp kOp>
T apply(T old, T b, T c) {
  using U = std::make_unsigned_t<T>;
  switch (kOp) {
    case AtomicOp::kAdd:
      return static_cast<T>(static_cast<U>(old) + static_cast<U>(b));
    case AtomicOp::kMin:
      return old < b ? old : b;
    case AtomicOp::kMax:
      return old > b ? old : b;
    case AtomicOp::kInc:
      return old >= b ? T{0} : static_cast<T>(old + 1);
    case AtomicOp::kDec:
      return old == 0 || old > b ? b : static_cast<T>(old - 1);
    case AtomicOp::kAnd:
      return old & b;
    case AtomicOp::kOr:
      return old | b;
    case AtomicOp::kXor:
      return old ^ b;
    case AtomicOp::kExch:
      return b;
    case AtomicOp::kCas:
      return old == b ? c : old;
  }
  return old;
}

struct FloatAdd {
  using Word = u32;
  static u32 apply(u32 x, u32 y) {
    // Atomics on f32 in global memory flush subnormals only in their .ftz-less old form: none here.
    return num::float_to_bits(num::canonical(num::bits_to_float(x) + num::bits_to_float(y)));
  }
};
struct DoubleAdd {
  using Word = u64;
  static u64 apply(u64 x, u64 y) {
    return std::bit_cast<u64>(std::bit_cast<double>(x) + std::bit_cast<double>(y));
  }
};
struct HalfAdd {
  using Word = u16;
  static u16 apply(u16 x, u16 y) {
    return num::float_to_f16(num::f16_to_float(x) + num::f16_to_float(y));
  }
};
struct Bf16Add {
  using Word = u16;
  static u16 apply(u16 x, u16 y) {
    return num::float_to_bf16(num::bf16_to_float(x) + num::bf16_to_float(y));
  }
};
template <class One>
struct Pair {
  using Word = u32;
  static u32 apply(u32 x, u32 y) {
    return static_cast<u32>(One::apply(static_cast<u16>(x), static_cast<u16>(y))) |
           static_cast<u32>(One::apply(static_cast<u16>(x >> 16), static_cast<u16>(y >> 16))) << 16;
  }
};
template <bool kMax, float (*kLoad)(u16), u16 (*kStore)(float)>
struct HalfExtreme {
  using Word = u16;
  static u16 apply(u16 x, u16 y) {
    return kStore(kMax ? num::max_ptx(kLoad(x), kLoad(y)) : num::min_ptx(kLoad(x), kLoad(y)));
  }
};

constexpr u32 kAddress64 = 1 << 5;

// Returns the old value; a change is what a spinning thread may be waiting for.
template <class T, class F>
T exchange_with(Warp& w, u8* p, F&& f) {
  std::atomic_ref<T> word(*reinterpret_cast<T*>(p));
  T old = word.load(std::memory_order_relaxed);
  T next;
  do next = f(old);
  while (!word.compare_exchange_weak(old, next, std::memory_order_acq_rel));
  if (next != old) note_activity(w);
  return old;
}

void find_lanes(Warp& w, const Inst& i, u32 mask, u32 bytes, LanePointers& lanes) {
  load_addresses(w, i.a, i.flags & kAddress64 ? 8 : 4, i.imm, lanes.address);
  resolve(w, i, static_cast<Space>(i.space), mask, bytes,
          {check::AccessKind::kAtomic, bytes, order_of(i.flags), scope_of(i.flags)}, lanes);
}

template <class T, AtomicOp kOp>
void atomic_lanes(Warp& w, const Inst& i, u32 mask) {
  LanePointers lanes;
  find_lanes(w, i, mask, sizeof(T), lanes);
  const T *b = w.reg<T>(i.b), *c = i.c == kNone ? b : w.reg<T>(i.c);
  for_lanes(mask, [&](u32 l) {
    const T y = b[l], z = c[l];
    const T old =
        exchange_with<T>(w, lanes.pointer[l], [=](T x) { return apply<T, kOp>(x, y, z); });
    if (i.d != kNone) w.reg<T>(i.d)[l] = old;
  });
  if (static_cast<Space>(i.space) == Space::kShared) return;
  if (auto* o = observer_of(w))
    o->global_value(event_of(w, i, mask),
                    {check::AccessKind::kAtomic, sizeof(T), order_of(i.flags), scope_of(i.flags)},
                    lanes.address);
}

// Floating point, one or several words for a lane (red ... .v4.f32).
template <class Op>
void atomic_float_lanes(Warp& w, const Inst& i, u32 mask) {
  using T = typename Op::Word;
  const u32 count = i.op_count / 2;  // sources, then destinations
  LanePointers lanes;
  find_lanes(w, i, mask, sizeof(T) * count, lanes);
  for_lanes(mask, [&](u32 l) {
    for (u32 k = 0; k < count; ++k) {
      const T y = w.reg<T>(i.ops[k])[l];
      const T old = exchange_with<T>(w, lanes.pointer[l] + k * sizeof(T),
                                     [=](T x) { return Op::apply(x, y); });
      if (i.ops[count + k] != kNone) w.reg<T>(i.ops[count + k])[l] = old;
    }
  });
}

struct Wide {
  u64 v[2];
};

// 128-bit exch and cas: one lock for all, they are rare.
void atomic_wide_lanes(Warp& w, const Inst& i, u32 mask) {
  static std::atomic_flag busy = ATOMIC_FLAG_INIT;
  LanePointers lanes;
  find_lanes(w, i, mask, 16, lanes);
  for_lanes(mask, [&](u32 l) {
    while (busy.test_and_set(std::memory_order_acquire)) {
    }
    const Wide old = load_as<Wide>(lanes.pointer[l]);
    const Wide b = w.reg<Wide>(i.b)[l];
    const bool cas = i.c != kNone;
    const bool write = !cas || (old.v[0] == b.v[0] && old.v[1] == b.v[1]);
    if (write) store_as(lanes.pointer[l], cas ? w.reg<Wide>(i.c)[l] : b);
    busy.clear(std::memory_order_release);
    if (write) note_activity(w);
    if (i.d != kNone) w.reg<Wide>(i.d)[l] = old;
  });
}

template <class T>
Handler integer_handler(std::string_view op) {
  if (op == "add") return &atomic_lanes<T, AtomicOp::kAdd>;
  if (op == "min") return &atomic_lanes<T, AtomicOp::kMin>;
  if (op == "max") return &atomic_lanes<T, AtomicOp::kMax>;
  if constexpr (sizeof(T) == 4 && std::is_unsigned_v<T>) {
    if (op == "inc") return &atomic_lanes<T, AtomicOp::kInc>;
    if (op == "dec") return &atomic_lanes<T, AtomicOp::kDec>;
  }
  return nullptr;
}

template <class T>
Handler bit_handler(std::string_view op) {
  if (op == "and") return &atomic_lanes<T, AtomicOp::kAnd>;
  if (op == "or") return &atomic_lanes<T, AtomicOp::kOr>;
  if (op == "xor") return &atomic_lanes<T, AtomicOp::kXor>;
  if (op == "exch") return &atomic_lanes<T, AtomicOp::kExch>;
  if (op == "cas") return &atomic_lanes<T, AtomicOp::kCas>;
  return nullptr;
}

Handler plain_handler(std::string_view op, std::string_view type) {
  if (type == "u32") return integer_handler<u32>(op);
  if (type == "s32") return integer_handler<s32>(op);
  if (type == "u64") return integer_handler<u64>(op);
  if (type == "s64") return integer_handler<s64>(op);
  if (type == "b16") return op == "cas" ? bit_handler<u16>(op) : nullptr;
  if (type == "b32") return bit_handler<u32>(op);
  if (type == "b64") return bit_handler<u64>(op);
  if (type == "b128" && (op == "exch" || op == "cas")) return &atomic_wide_lanes;
  return nullptr;
}

Handler float_handler(std::string_view op, std::string_view type) {
  if (op == "add") {
    if (type == "f32") return &atomic_float_lanes<FloatAdd>;
    if (type == "f64") return &atomic_float_lanes<DoubleAdd>;
    if (type == "f16") return &atomic_float_lanes<HalfAdd>;
    if (type == "bf16") return &atomic_float_lanes<Bf16Add>;
    if (type == "f16x2") return &atomic_float_lanes<Pair<HalfAdd>>;
    if (type == "bf16x2") return &atomic_float_lanes<Pair<Bf16Add>>;
  }
  using MinF16 = HalfExtreme<false, num::f16_to_float, num::float_to_f16>;
  using MaxF16 = HalfExtreme<true, num::f16_to_float, num::float_to_f16>;
  using MinBf16 = HalfExtreme<false, num::bf16_to_float, num::float_to_bf16>;
  using MaxBf16 = HalfExtreme<true, num::bf16_to_float, num::float_to_bf16>;
  if (op == "min") {
    if (type == "f16") return &atomic_float_lanes<MinF16>;
    if (type == "bf16") return &atomic_float_lanes<MinBf16>;
    if (type == "f16x2") return &atomic_float_lanes<Pair<MinF16>>;
    if (type == "bf16x2") return &atomic_float_lanes<Pair<MinBf16>>;
  }
  if (op == "max") {
    if (type == "f16") return &atomic_float_lanes<MaxF16>;
    if (type == "bf16") return &atomic_float_lanes<MaxBf16>;
    if (type == "f16x2") return &atomic_float_lanes<Pair<MaxF16>>;
    if (type == "bf16x2") return &atomic_float_lanes<Pair<MaxBf16>>;
  }
  return nullptr;
}

void decode_atomic(Decode& d) {
  const bool returns = d.mods.mnemonic == "atom";
  const std::string_view type = d.mods.take_last();
  const u32 size = ptx::type_bytes(type);
  const check::Order order = take_order(d.mods, check::Order::kRelaxed);
  const check::Scope scope = take_scope(d.mods, check::Scope::kGpu);
  d.inst.space = static_cast<u8>(take_space(d.mods));
  take_cache_hints(d.mods);
  d.mods.take("noftz");
  const std::string_view op =
      d.mods.take_one_of({"add", "min", "max", "inc", "dec", "and", "or", "xor", "exch", "cas"});
  u32 count = 1;
  if (d.mods.take("v2")) count = 2;
  if (d.mods.take("v4")) count = 4;
  if (d.mods.take("v8")) count = 8;
  const size_t at = returns ? 1 : 0;
  if (static_cast<Space>(d.inst.space) != Space::kShared) d.builder.kernel().communicates = true;
  const u32 width = d.address(d.op(at), d.inst.a);
  d.inst.flags = pack_order(order, scope) | (width == 8 ? kAddress64 : 0);
  if (Handler h = count == 1 ? plain_handler(op, type) : nullptr) {
    d.inst.run = h;
    d.inst.b = d.use(at + 1, size);
    if (op == "cas") d.inst.c = d.use(at + 2, size);
    if (returns) d.inst.d = d.def(0, size);
    return;
  }
  d.inst.run = float_handler(op, type);
  if (!d.inst.run) reject("unknown operation on this type");
  std::vector<u32> list = d.use_list(d.op(at + 1), size);
  if (list.size() != count) reject("vector width does not match the operand");
  if (returns) {
    for (u32 r : d.def_list(d.op(0), size)) list.push_back(r);
  } else {
    list.insert(list.end(), count, kNone);
  }
  d.set_ops(std::move(list));
}

// red.async: on the shared memory of a CTA of the cluster, completing on an mbarrier there, is
// decoded with the other asynchronous stores.
void decode_red(Decode& d) {
  if (d.mods.has("async")) return decode_red_async(d);
  decode_atomic(d);
}

}  // namespace

void add_atomics(Registry& r) {
  r.family("atom", &decode_atomic);
  r.family("red", &decode_red);
}

}  // namespace emulator::isa
