// Logic, shifts, bit fields, permutes, dot products.
#include <algorithm>
#include <bit>

#include "isa/handlers.hpp"
#include "isa/lanes.hpp"

namespace emulator::isa {
namespace {

template <class T>
void add_logic(Registry& r, const std::string& t) {
  constexpr u32 bits = sizeof(T) * 8;
  r.alu("and." + t, binary<T, T, T>([](T x, T y) { return x & y; }));
  r.alu("or." + t, binary<T, T, T>([](T x, T y) { return x | y; }));
  r.alu("xor." + t, binary<T, T, T>([](T x, T y) { return x ^ y; }));
  r.alu("not." + t, unary<T, T>([](T x) { return ~x; }));
  r.alu("cnot." + t, unary<T, T>([](T x) { return x == 0; }));
  r.alu("shl." + t, binary<T, T, u32>([](T x, u32 n) {
          return static_cast<T>(n >= bits ? T{0} : static_cast<T>(x << n));
        }));
  r.alu("shr." + t, binary<T, T, u32>([](T x, u32 n) {
          return static_cast<T>(n >= bits ? T{0} : static_cast<T>(x >> n));
        }));
}

u64 field_mask(u32 length) { return length >= 64 ? ~0ull : (1ull << length) - 1; }

template <class T>
T extract(T x, u32 b, u32 c) {
  using U = std::make_unsigned_t<T>;
  constexpr u32 kMsb = sizeof(T) * 8 - 1;
  const u32 position = b & 0xff, length = c & 0xff;
  const U bits = static_cast<U>(x);
  const bool sign =
      std::is_signed_v<T> && length != 0 && (bits >> std::min(position + length - 1, kMsb) & 1);
  const U field = position > kMsb ? U{0} : static_cast<U>(bits >> position);
  // Bits beyond the top of the source are copies of the sign.
  const u32 available = position > kMsb ? 0 : std::min(length, kMsb + 1 - position);
  const U mask = static_cast<U>(field_mask(available));
  return static_cast<T>(sign ? (field & mask) | static_cast<U>(~mask) : field & mask);
}

template <class T>
T insert(T a, T b, u32 c, u32 d) {
  const u32 position = c & 0xff, length = d & 0xff;
  if (position >= sizeof(T) * 8) return b;
  const T mask = static_cast<T>(field_mask(length) << position);
  return static_cast<T>((b & ~mask) | ((a << position) & mask));
}

template <class T>
void insert_lanes(Warp& w, const Inst& i, u32 mask) {
  const T *a = w.reg<T>(i.a), *b = w.reg<T>(i.b);
  const u32 *c = w.reg<u32>(i.c), *e = w.reg<u32>(i.e);
  T* d = w.reg<T>(i.d);
  for_lanes(mask, [=](u32 l) { d[l] = insert<T>(a[l], b[l], c[l], e[l]); });
}

void decode_bfi(Decode& d) {
  const std::string_view type = d.mods.take_last();
  const u32 size = ptx::type_bytes(type);
  if (type != "b32" && type != "b64") reject("unknown type");
  d.inst.a = d.use(1, size);
  d.inst.b = d.use(2, size);
  d.inst.c = d.use(3, 4);
  d.inst.e = d.use(4, 4);
  d.inst.d = d.def(0, size);
  d.inst.run = size == 4 ? &insert_lanes<u32> : &insert_lanes<u64>;
}

template <class T>
u32 find_top_bit(T x) {
  using U = std::make_unsigned_t<T>;
  const U v = static_cast<U>(x < 0 ? ~x : x);
  return v == 0 ? ~0u : static_cast<u32>(sizeof(T) * 8 - 1) - static_cast<u32>(std::countl_zero(v));
}

template <class T>
void add_find(Registry& r, const std::string& t) {
  r.alu("bfind." + t, unary_slow<u32, T>([](T x) { return find_top_bit<T>(x); }));
  r.alu("bfind.shiftamt." + t, unary_slow<u32, T>([](T x) {
          const u32 n = find_top_bit<T>(x);
          return n == ~0u ? n : static_cast<u32>(sizeof(T) * 8 - 1) - n;
        }));
  r.alu("bfe." + t,
        ternary_slow<T, T, u32, u32>([](T x, u32 b, u32 c) { return extract<T>(x, b, c); }));
}

u32 reverse32(u32 x) {
  x = (x & 0x55555555) << 1 | (x >> 1 & 0x55555555);
  x = (x & 0x33333333) << 2 | (x >> 2 & 0x33333333);
  x = (x & 0x0f0f0f0f) << 4 | (x >> 4 & 0x0f0f0f0f);
  return __builtin_bswap32(x);
}

u32 permute_bytes(u32 a, u32 b, u32 selector) {
  const u64 source = static_cast<u64>(b) << 32 | a;
  u32 result = 0;
  for (u32 i = 0; i < 4; ++i) {
    const u32 s = selector >> (4 * i) & 15;
    u32 byte = static_cast<u32>(source >> (8 * (s & 7))) & 0xff;
    if (s & 8) byte = byte & 0x80 ? 0xff : 0;
    result |= byte << (8 * i);
  }
  return result;
}

enum PermuteMode : u32 { kF4e, kB4e, kRc8, kEcl, kEcr, kRc16 };

template <PermuteMode kMode>
u32 permute_mode(u32 a, u32 b, u32 c) {
  static constexpr u16 kSelectors[6][4] = {
      {0x3210, 0x4321, 0x5432, 0x6543}, {0x5670, 0x6701, 0x7012, 0x0123},
      {0x0000, 0x1111, 0x2222, 0x3333}, {0x3210, 0x3211, 0x3222, 0x3333},
      {0x0000, 0x1110, 0x2210, 0x3210}, {0x1010, 0x3232, 0x1010, 0x3232}};
  return permute_bytes(a, b, kSelectors[kMode][c & 3]);
}

void lop3_lanes(Warp& w, const Inst& i, u32 mask) {
  const u32 *a = w.reg<u32>(i.a), *b = w.reg<u32>(i.b), *c = w.reg<u32>(i.c);
  u32 term[8];
  for (u32 k = 0; k < 8; ++k) term[k] = i.imm >> k & 1 ? ~0u : 0;
  store_lanes(w.reg<u32>(i.d), mask, [&](u32 l) {
    const u32 x = a[l], y = b[l], z = c[l];
    const u32 low =
        (~y & ((~z & term[0]) | (z & term[1]))) | (y & ((~z & term[2]) | (z & term[3])));
    const u32 high =
        (~y & ((~z & term[4]) | (z & term[5]))) | (y & ((~z & term[6]) | (z & term[7])));
    return (~x & low) | (x & high);
  });
}

void decode_lop3(Decode& d) {
  if (d.mods.take_last() != "b32") reject("unknown type");
  d.inst.a = d.use(1, 4);
  d.inst.b = d.use(2, 4);
  d.inst.c = d.use(3, 4);
  d.inst.imm = d.immediate(4);
  d.inst.d = d.def(0, 4);
  d.inst.run = &lop3_lanes;
}

template <bool kLeft, bool kWrap>
u32 funnel(u32 low, u32 high, u32 n) {
  const u32 s = kWrap ? n & 31 : (n > 32 ? 32 : n);
  const u64 both = static_cast<u64>(high) << 32 | low;
  return kLeft ? static_cast<u32>((both << s) >> 32) : static_cast<u32>(both >> s);
}

template <bool kSigned>
s32 byte_of(u32 x, u32 k) {
  const u8 v = static_cast<u8>(x >> (8 * k));
  return kSigned ? static_cast<s32>(static_cast<s8>(v)) : static_cast<s32>(v);
}
template <bool kSigned>
s32 half_of(u32 x, u32 k) {
  const u16 v = static_cast<u16>(x >> (16 * k));
  return kSigned ? static_cast<s32>(static_cast<s16>(v)) : static_cast<s32>(v);
}
template <bool kA, bool kB>
u32 dot4(u32 a, u32 b, u32 c) {
  for (u32 k = 0; k < 4; ++k) c += static_cast<u32>(byte_of<kA>(a, k) * byte_of<kB>(b, k));
  return c;
}
template <bool kA, bool kB, u32 kFirst>
u32 dot2(u32 a, u32 b, u32 c) {
  for (u32 k = 0; k < 2; ++k) c += static_cast<u32>(half_of<kA>(a, k) * byte_of<kB>(b, k + kFirst));
  return c;
}

template <bool kA, bool kB>
void add_dot(Registry& r, const std::string& types) {
  r.alu("dp4a." + types,
        ternary<u32, u32, u32, u32>([](u32 a, u32 b, u32 c) { return dot4<kA, kB>(a, b, c); }));
  r.alu("dp2a.lo." + types,
        ternary<u32, u32, u32, u32>([](u32 a, u32 b, u32 c) { return dot2<kA, kB, 0>(a, b, c); }));
  r.alu("dp2a.hi." + types,
        ternary<u32, u32, u32, u32>([](u32 a, u32 b, u32 c) { return dot2<kA, kB, 2>(a, b, c); }));
}

}  // namespace

void add_bitwise(Registry& r) {
  add_logic<u16>(r, "b16");
  add_logic<u32>(r, "b32");
  add_logic<u64>(r, "b64");
  add_find<u32>(r, "u32");
  add_find<s32>(r, "s32");
  add_find<u64>(r, "u64");
  add_find<s64>(r, "s64");
  r.family("bfi", &decode_bfi);
  r.family("lop3", &decode_lop3);
  r.alu("popc.b32", unary<u32, u32>([](u32 x) { return static_cast<u32>(std::popcount(x)); }));
  r.alu("popc.b64", unary<u32, u64>([](u64 x) { return static_cast<u32>(std::popcount(x)); }));
  r.alu("clz.b32", unary<u32, u32>([](u32 x) { return static_cast<u32>(std::countl_zero(x)); }));
  r.alu("clz.b64", unary<u32, u64>([](u64 x) { return static_cast<u32>(std::countl_zero(x)); }));
  r.alu("brev.b32", unary<u32, u32>([](u32 x) { return reverse32(x); }));
  r.alu("brev.b64", unary<u64, u64>([](u64 x) {
          return static_cast<u64>(reverse32(static_cast<u32>(x))) << 32 |
                 reverse32(static_cast<u32>(x >> 32));
        }));
  r.alu("prmt.b32",
        ternary<u32, u32, u32, u32>([](u32 a, u32 b, u32 c) { return permute_bytes(a, b, c); }));
  r.alu("prmt.b32.f4e", ternary<u32, u32, u32, u32>(
                            [](u32 a, u32 b, u32 c) { return permute_mode<kF4e>(a, b, c); }));
  r.alu("prmt.b32.b4e", ternary<u32, u32, u32, u32>(
                            [](u32 a, u32 b, u32 c) { return permute_mode<kB4e>(a, b, c); }));
  r.alu("prmt.b32.rc8", ternary<u32, u32, u32, u32>(
                            [](u32 a, u32 b, u32 c) { return permute_mode<kRc8>(a, b, c); }));
  r.alu("prmt.b32.ecl", ternary<u32, u32, u32, u32>(
                            [](u32 a, u32 b, u32 c) { return permute_mode<kEcl>(a, b, c); }));
  r.alu("prmt.b32.ecr", ternary<u32, u32, u32, u32>(
                            [](u32 a, u32 b, u32 c) { return permute_mode<kEcr>(a, b, c); }));
  r.alu("prmt.b32.rc16", ternary<u32, u32, u32, u32>(
                             [](u32 a, u32 b, u32 c) { return permute_mode<kRc16>(a, b, c); }));
  r.alu("shf.l.wrap.b32", ternary<u32, u32, u32, u32>(
                              [](u32 a, u32 b, u32 n) { return funnel<true, true>(a, b, n); }));
  r.alu("shf.l.clamp.b32", ternary<u32, u32, u32, u32>(
                               [](u32 a, u32 b, u32 n) { return funnel<true, false>(a, b, n); }));
  r.alu("shf.r.wrap.b32", ternary<u32, u32, u32, u32>(
                              [](u32 a, u32 b, u32 n) { return funnel<false, true>(a, b, n); }));
  r.alu("shf.r.clamp.b32", ternary<u32, u32, u32, u32>(
                               [](u32 a, u32 b, u32 n) { return funnel<false, false>(a, b, n); }));
  r.alu("bmsk.clamp.b32", binary<u32, u32, u32>([](u32 a, u32 b) {
          if (a >= 32) return 0u;
          const u32 length = b > 32 ? 32 : b;
          return static_cast<u32>(field_mask(length) << a);
        }));
  r.alu("bmsk.wrap.b32", binary<u32, u32, u32>([](u32 a, u32 b) {
          return static_cast<u32>(field_mask(b & 31) << (a & 31));
        }));
  r.alu("szext.clamp.u32", binary<u32, u32, u32>([](u32 a, u32 b) {
          return b >= 32 ? a : a & static_cast<u32>(field_mask(b));
        }));
  r.alu("szext.wrap.u32", binary<u32, u32, u32>([](u32 a, u32 b) {
          return a & static_cast<u32>(field_mask(b & 31));
        }));
  r.alu("szext.wrap.s32", binary<u32, u32, u32>([](u32 a, u32 b) {
          const u32 bits = b & 31;
          return bits == 0 ? 0u
                           : static_cast<u32>(static_cast<s32>(a << (32 - bits)) >> (32 - bits));
        }));
  r.alu("szext.clamp.s32", binary<u32, u32, u32>([](u32 a, u32 b) {
          if (b == 0) return 0u;
          if (b >= 32) return a;
          return static_cast<u32>(static_cast<s32>(a << (32 - b)) >> (32 - b));
        }));
  add_dot<false, false>(r, "u32.u32");
  add_dot<false, true>(r, "u32.s32");
  add_dot<true, false>(r, "s32.u32");
  add_dot<true, true>(r, "s32.s32");
}

}  // namespace emulator::isa
