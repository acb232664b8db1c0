// mma.sync: warp-wide products of register fragments.
#include <cstring>

#include "exec/access.hpp"
#include "isa/handlers.hpp"
#include "isa/lanes.hpp"
#include "num/fp8.hpp"
#include "num/matmul.hpp"

namespace emulator::isa {
namespace {

using num::MatrixType;

// The registers of a fragment, seen as one row of 32 lanes, hold eight runs of consecutive
// elements: lanes 4g..4g+3 of register r of A are row (r & 1) * 8 + g, columns (r >> 1) * 4 * per
// and on, where a lane holds `per` elements. B is the same with n = g and k along the registers.
template <MatrixType kType>
struct Elements;
template <>
struct Elements<MatrixType::kF16> {
  using Storage = u16;
  static constexpr u32 kPer = 2;
  static void run(const u16* s, float* out) { num::f16_run(s, out); }
};
template <>
struct Elements<MatrixType::kBf16> {
  using Storage = u16;
  static constexpr u32 kPer = 2;
  static void run(const u16* s, float* out) {
    for (u32 e = 0; e < 8; ++e) out[e] = num::bf16_to_float(s[e]);
  }
};
template <>
struct Elements<MatrixType::kTf32> {
  using Storage = u32;
  static constexpr u32 kPer = 1;
  static void run(const u32* s, float* out) {
    for (u32 e = 0; e < 4; ++e) out[e] = num::tf32_from_bits(s[e]);
  }
};
template <>
struct Elements<MatrixType::kE4m3> {
  using Storage = u8;
  static constexpr u32 kPer = 4;
  static void run(const u8* s, float* out) {
    for (u32 e = 0; e < 16; ++e) out[e] = num::e4m3_to_float(s[e]);
  }
};
template <>
struct Elements<MatrixType::kE5m2> {
  using Storage = u8;
  static constexpr u32 kPer = 4;
  static void run(const u8* s, float* out) {
    for (u32 e = 0; e < 16; ++e) out[e] = num::e5m2_to_float(s[e]);
  }
};

template <class E, u32 kK>
void spread_a(Warp& w, const u32* regs, float* a) {
  constexpr u32 length = 4 * E::kPer;
  for (u32 r = 0; r < 2 * kK / length; ++r) {
    const auto* s = w.reg<typename E::Storage>(regs[r]);
    for (u32 g = 0; g < 8; ++g)
      E::run(s + g * length, a + ((r & 1) * 8 + g) * kK + (r >> 1) * length);
  }
}

template <class E, u32 kK>
void spread_b(Warp& w, const u32* regs, float* b) {
  constexpr u32 length = 4 * E::kPer;
  for (u32 r = 0; r < kK / length; ++r) {
    const auto* s = w.reg<typename E::Storage>(regs[r]);
    float columns[8][length];
    for (u32 g = 0; g < 8; ++g) E::run(s + g * length, columns[g]);
    for (u32 e = 0; e < length; ++e)
      for (u32 g = 0; g < 8; ++g) b[(r * length + e) * 8 + g] = columns[g][e];
  }
}

enum class Accumulator { kF32, kF16 };

struct Fragments {
  const u32 *d, *a, *b, *c;
};

// A 16x8 tile of accumulators. Element (half * 8 + g, 2t + e) lies in register 2 * half + e of lane
// 4g + t: a half of the tile is two registers interleaved.
void load_c(Warp& w, const u32* regs, Accumulator type, float* c) {
  for (u32 half = 0; half < 2; ++half, c += 64) {
    if (type == Accumulator::kF32) {
      const float *even = w.reg<float>(regs[2 * half]), *odd = w.reg<float>(regs[2 * half + 1]);
      for (u32 l = 0; l < kWarpSize; ++l) {
        c[2 * l] = even[l];
        c[2 * l + 1] = odd[l];
      }
    } else {
      const u16* v = w.reg<u16>(regs[half]);
      for (u32 k = 0; k < 64; k += 8) num::f16_run(v + k, c + k);
    }
  }
}

void store_d(Warp& w, const u32* regs, Accumulator type, const float* c) {
  for (u32 half = 0; half < 2; ++half, c += 64) {
    if (type == Accumulator::kF32) {
      float *even = w.reg<float>(regs[2 * half]), *odd = w.reg<float>(regs[2 * half + 1]);
      for (u32 l = 0; l < kWarpSize; ++l) {
        even[l] = c[2 * l];
        odd[l] = c[2 * l + 1];
      }
    } else {
      u16* v = w.reg<u16>(regs[half]);
      for (u32 k = 0; k < 64; ++k) v[k] = num::float_to_f16(c[k]);
    }
  }
}

template <MatrixType kA, MatrixType kB, Accumulator kAcc, u32 kK>
void mma_lanes(Warp& w, const Inst& i, u32) {
  using A = Elements<kA>;
  using B = Elements<kB>;
  constexpr u32 accumulators = kAcc == Accumulator::kF32 ? 4 : 2;
  constexpr u32 a_count = 2 * kK / (4 * A::kPer), b_count = kK / (4 * B::kPer);
  const Fragments f{i.ops, i.ops + accumulators, i.ops + accumulators + a_count,
                    i.ops + accumulators + a_count + b_count};
  alignas(64) float a[16 * kK], b[kK * 8], c[16 * 8];
  spread_a<A, kK>(w, f.a, a);
  spread_b<B, kK>(w, f.b, b);
  load_c(w, f.c, kAcc, c);
  num::multiply_add(options().accumulate, 16, 8, kK, a, b, c, 8);
  store_d(w, f.d, kAcc, c);
}

template <class TA, class TB>
void mma_integer_lanes(Warp& w, const Inst& i, u32) {
  const u32 k_count = i.flags & 0xff;
  const bool saturate = i.flags & 0x100;
  const u32 a_count = k_count == 16 ? 2 : 4, b_count = k_count / 16;
  const u32 *ra = i.ops + 4, *rb = ra + a_count, *rc = rb + b_count;
  s32 a[16][32], b[32][8];
  for (u32 r = 0; r < a_count; ++r)
    for (u32 l = 0; l < kWarpSize; ++l)
      for (u32 e = 0; e < 4; ++e)
        a[(r & 1) * 8 + l / 4][(r >> 1) * 16 + (l % 4) * 4 + e] =
            static_cast<TA>(w.reg<u32>(ra[r])[l] >> (8 * e));
  for (u32 r = 0; r < b_count; ++r)
    for (u32 l = 0; l < kWarpSize; ++l)
      for (u32 e = 0; e < 4; ++e)
        b[r * 16 + (l % 4) * 4 + e][l / 4] = static_cast<TB>(w.reg<u32>(rb[r])[l] >> (8 * e));
  s32 result[4][kWarpSize];
  for (u32 r = 0; r < 4; ++r)
    for (u32 l = 0; l < kWarpSize; ++l) {
      s64 sum = w.reg<s32>(rc[r])[l];
      const u32 m = (r >> 1) * 8 + l / 4, n = 2 * (l % 4) + (r & 1);
      for (u32 k = 0; k < k_count; ++k) sum += s64{a[m][k]} * b[k][n];
      if (saturate) sum = sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum;
      result[r][l] = static_cast<s32>(sum);
    }
  for (u32 r = 0; r < 4; ++r) std::memcpy(w.reg<s32>(i.ops[r]), result[r], sizeof result[r]);
}

// m8n8k4.f64: one element of A and B for each lane, two accumulators.
void mma_f64_lanes(Warp& w, const Inst& i, u32) {
  const double *a = w.reg<double>(i.ops[2]), *b = w.reg<double>(i.ops[3]);
  double d[2][kWarpSize];
  for (u32 r = 0; r < 2; ++r)
    for (u32 l = 0; l < kWarpSize; ++l) {
      double sum = w.reg<double>(i.ops[4 + r])[l];
      for (u32 k = 0; k < 4; ++k)
        sum = __builtin_fma(a[(l / 4) * 4 + k], b[(2 * (l % 4) + r) * 4 + k], sum);
      d[r][l] = sum;
    }
  for (u32 r = 0; r < 2; ++r) std::memcpy(w.reg<double>(i.ops[r]), d[r], sizeof d[r]);
}

struct Form {
  std::string_view shape, types;  // types: d.a.b.c
  Handler run;
  u32 d, a, b, c;  // registers
};

template <MatrixType kA, MatrixType kB, Accumulator kAcc, u32 kK>
Form form(std::string_view shape, std::string_view types) {
  constexpr u32 acc = kAcc == Accumulator::kF32 ? 4 : 2;
  return {shape,
          types,
          &mma_lanes<kA, kB, kAcc, kK>,
          acc,
          2 * kK / (4 * Elements<kA>::kPer),
          kK / (4 * Elements<kB>::kPer),
          acc};
}

const Form* find_form(std::string_view shape, std::string_view types) {
  using enum MatrixType;
  static const Form kForms[] = {
      form<MatrixType::kF16, MatrixType::kF16, Accumulator::kF32, 16>("m16n8k16",
                                                                      "f32.f16.f16.f32"),
      form<MatrixType::kF16, MatrixType::kF16, Accumulator::kF32, 8>("m16n8k8", "f32.f16.f16.f32"),
      form<MatrixType::kF16, MatrixType::kF16, Accumulator::kF16, 16>("m16n8k16",
                                                                      "f16.f16.f16.f16"),
      form<MatrixType::kF16, MatrixType::kF16, Accumulator::kF16, 8>("m16n8k8", "f16.f16.f16.f16"),
      form<kBf16, kBf16, Accumulator::kF32, 16>("m16n8k16", "f32.bf16.bf16.f32"),
      form<kBf16, kBf16, Accumulator::kF32, 8>("m16n8k8", "f32.bf16.bf16.f32"),
      form<kTf32, kTf32, Accumulator::kF32, 8>("m16n8k8", "f32.tf32.tf32.f32"),
      form<kTf32, kTf32, Accumulator::kF32, 4>("m16n8k4", "f32.tf32.tf32.f32"),
      form<kE4m3, kE4m3, Accumulator::kF32, 32>("m16n8k32", "f32.e4m3.e4m3.f32"),
      form<kE4m3, kE5m2, Accumulator::kF32, 32>("m16n8k32", "f32.e4m3.e5m2.f32"),
      form<kE5m2, kE4m3, Accumulator::kF32, 32>("m16n8k32", "f32.e5m2.e4m3.f32"),
      form<kE5m2, kE5m2, Accumulator::kF32, 32>("m16n8k32", "f32.e5m2.e5m2.f32"),
      {"m16n8k32", "s32.s8.s8.s32", &mma_integer_lanes<s8, s8>, 4, 4, 2, 4},
      {"m16n8k32", "s32.u8.u8.s32", &mma_integer_lanes<u8, u8>, 4, 4, 2, 4},
      {"m16n8k32", "s32.s8.u8.s32", &mma_integer_lanes<s8, u8>, 4, 4, 2, 4},
      {"m16n8k32", "s32.u8.s8.s32", &mma_integer_lanes<u8, s8>, 4, 4, 2, 4},
      {"m16n8k16", "s32.s8.s8.s32", &mma_integer_lanes<s8, s8>, 4, 2, 1, 4},
      {"m16n8k16", "s32.u8.u8.s32", &mma_integer_lanes<u8, u8>, 4, 2, 1, 4},
      {"m16n8k16", "s32.s8.u8.s32", &mma_integer_lanes<s8, u8>, 4, 2, 1, 4},
      {"m16n8k16", "s32.u8.s8.s32", &mma_integer_lanes<u8, s8>, 4, 2, 1, 4},
      {"m8n8k4", "f64.f64.f64.f64", &mma_f64_lanes, 2, 1, 1, 2},
  };
  for (const Form& f : kForms)
    if (f.shape == shape && f.types == types) return &f;
  return nullptr;
}

void decode_mma(Decode& d) {
  d.inst.flow = Flow::kConverged;
  if (!d.mods.take("sync") || !d.mods.take("aligned")) reject("needs .sync.aligned");
  const std::string_view shape = d.mods.take_prefix("m");
  if (!d.mods.take("row") || !d.mods.take("col")) reject("only .row.col is supported");
  const bool saturate = d.mods.take("satfinite");
  d.mods.take("kind::f8f6f4");
  std::string types;
  const size_t count = d.mods.size();
  if (count != 4) reject("unknown types");
  for (size_t k = 0; k < 4; ++k) types = std::string(d.mods.take_last()) + (k ? "." : "") + types;
  const Form* f = find_form(shape, types);
  if (!f) reject("unknown shape and types " + std::string(shape) + "." + types);
  const u32 size = types == "f64.f64.f64.f64" ? 8 : 4;
  d.inst.flags =
      static_cast<u32>(std::atoi(std::string(shape.substr(shape.rfind('k') + 1)).c_str())) |
      (saturate ? 0x100u : 0u);
  std::vector<u32> list = d.def_list(d.op(0), size);
  const u32 expected[3] = {f->a, f->b, f->c};
  if (list.size() != f->d) reject("wrong number of result registers");
  for (size_t k = 1; k < 4; ++k) {
    const std::vector<u32> part = d.use_list(d.op(k), size);
    if (part.size() != expected[k - 1])
      reject("wrong number of registers in operand " + std::to_string(k));
    list.insert(list.end(), part.begin(), part.end());
  }
  d.set_ops(std::move(list));
  d.inst.run = f->run;
}

}  // namespace

void add_mma(Registry& r) { r.family("mma", &decode_mma); }

}  // namespace emulator::isa
