#include "exec/wgmma.hpp"

#include <algorithm>

#include "exec/access.hpp"
#include "exec/counters.hpp"
#include "exec/tensor_map.hpp"
#include "num/fp8.hpp"

namespace emulator {
namespace {

using num::MatrixType;

constexpr u32 kRows = 16;  // of a warp

u32 element_bytes(MatrixType t) {
  return t == MatrixType::kTf32 ? 4 : t == MatrixType::kE4m3 || t == MatrixType::kE5m2 ? 1 : 2;
}

// Address of the 16-byte piece that holds (mn, piece of k), K-major.
u32 piece_k_major(const MatrixDescriptor& d, u32 mn, u32 piece) {
  const u32 row_bytes = 16u << d.swizzle;
  const u32 step = d.swizzle ? 16 : d.leading;
  return swizzle_offset(d.start + mn % 8 * row_bytes + mn / 8 * d.stride + piece * step, d.swizzle);
}

// Address of the 16-byte piece (8 elements along mn) in row k, MN-major, 16-bit elements.
u32 piece_mn_major(const MatrixDescriptor& d, u32 piece, u32 k) {
  const u32 row_bytes = 16u << d.swizzle, per_row = 1u << d.swizzle;
  const u32 mn_step = d.swizzle ? d.leading : d.stride;
  const u32 k_step = d.swizzle ? d.stride : d.leading;
  return swizzle_offset(d.start + piece % per_row * 16 + piece / per_row * mn_step +
                            k % 8 * row_bytes + k / 8 * k_step,
                        d.swizzle);
}

void convert_piece(MatrixType type, const u8* p, float* out) {
  switch (type) {
    case MatrixType::kBf16:
      num::bf16_run(p, out);
      break;
    case MatrixType::kF16:
      num::f16_run(reinterpret_cast<const u16*>(p), out);
      break;
    case MatrixType::kTf32:
      for (u32 e = 0; e < 4; ++e) out[e] = num::tf32_from_bits(load_as<u32>(p + 4 * e));
      break;
    case MatrixType::kE4m3:
      for (u32 e = 0; e < 16; ++e) out[e] = num::e4m3_to_float(p[e]);
      break;
    default:
      for (u32 e = 0; e < 16; ++e) out[e] = num::e5m2_to_float(p[e]);
  }
}

const u8* piece_at(Warp& w, const WgmmaOp& op, u32 address) {
  if (address < kSharedReserved || address + 16 > w.shared_limit) {
    const std::string text = format_text(
        "wgmma descriptor reaches shared offset %u; the CTA has %u", address, w.shared_limit);
    if (auto* o = observer_of(w))
      o->violation(event_of(w, *op.inst, kAllLanes), check::Rule::kOutOfBounds, text);
    fault(w, *op.inst, FaultKind::kIllegalAddress, "%s", text.c_str());
  }
  return w.shared + address;
}

// out[mn][k], `count` rows beginning with `first`.
void fetch_rows(Warp& w, const WgmmaOp& op, u64 bits, Major major, MatrixType type, u32 first,
                u32 count, float* out) {
  const MatrixDescriptor d = MatrixDescriptor::unpack(bits);
  const u32 per_piece = 16 / element_bytes(type), k_count = op.form.k;
  if (major == Major::kK) {
    for (u32 r = 0; r < count; ++r)
      for (u32 p = 0; p < k_count / per_piece; ++p)
        convert_piece(type, piece_at(w, op, piece_k_major(d, first + r, p)),
                      out + r * k_count + p * per_piece);
    return;
  }
  for (u32 k = 0; k < k_count; ++k)
    for (u32 p = 0; p < count / 8; ++p) {
      float v[8];
      convert_piece(type, piece_at(w, op, piece_mn_major(d, first / 8 + p, k)), v);
      for (u32 e = 0; e < 8; ++e) out[(p * 8 + e) * k_count + k] = v[e];
    }
}

// out[k][n]
void fetch_b(Warp& w, const WgmmaOp& op, float* out) {
  const u32 n_count = op.form.n, k_count = op.form.k;
  const MatrixDescriptor d = MatrixDescriptor::unpack(op.b);
  if (op.form.major_b == Major::kMn) {
    for (u32 k = 0; k < k_count; ++k)
      for (u32 p = 0; p < n_count / 8; ++p)
        convert_piece(op.form.type_b, piece_at(w, op, piece_mn_major(d, p, k)),
                      out + k * n_count + p * 8);
    return;
  }
  alignas(64) float rows[8 * 32];
  for (u32 n = 0; n < n_count; n += 8) {
    fetch_rows(w, op, op.b, Major::kK, op.form.type_b, n, 8, rows);
    for (u32 k = 0; k < k_count; ++k)
      for (u32 r = 0; r < 8; ++r) out[k * n_count + n + r] = rows[r * k_count + k];
  }
}

void a_from_registers(Warp& w, const WgmmaOp& op, float* a) {
  const u32* regs = op.inst->ops + op.form.accumulator_registers();
  const u32 k_count = op.form.k, per = 4 / element_bytes(op.form.type_a);
  for (u32 r = 0; r < 4; ++r) {
    const u32* s = w.reg<u32>(regs[r]);
    for (u32 l = 0; l < kWarpSize; ++l) {
      float* at = a + ((r & 1) * 8 + l / 4) * k_count + (r >> 1) * 4 * per + l % 4 * per;
      for (u32 e = 0; e < per; ++e) {
        switch (op.form.type_a) {
          case MatrixType::kBf16:
            at[e] = num::bf16_to_float(static_cast<u16>(s[l] >> (16 * e)));
            break;
          case MatrixType::kF16:
            at[e] = num::f16_to_float(static_cast<u16>(s[l] >> (16 * e)));
            break;
          case MatrixType::kTf32:
            at[e] = num::tf32_from_bits(s[l]);
            break;
          case MatrixType::kE4m3:
            at[e] = num::e4m3_to_float(static_cast<u8>(s[l] >> (8 * e)));
            break;
          default:
            at[e] = num::e5m2_to_float(static_cast<u8>(s[l] >> (8 * e)));
        }
      }
    }
  }
}

// Accumulator (half * 8 + g, 8 * block + 2t + e) lies in register 4 * block + 2 * half + e of lane
// 4g + t; with f16 accumulators register 2 * block + half holds both e.
template <class F>
void for_rows(const WgmmaForm& f, F&& visit) {
  for (u32 block = 0; block < f.n / 8; ++block)
    for (u32 half = 0; half < 2; ++half)
      for (u32 g = 0; g < 8; ++g) visit(block, half, g, (size_t{half} * 8 + g) * f.n + block * 8);
}

void save_accumulators(Warp& w, const WgmmaOp& op, std::vector<float>& c) {
  for_rows(op.form, [&](u32 block, u32 half, u32 g, size_t at) {
    if (op.form.f16_accumulator) {
      num::f16_run(w.reg<u16>(op.inst->ops[block * 2 + half]) + 8 * g, &c[at]);
      return;
    }
    const u32* regs = op.inst->ops + block * 4 + half * 2;
    const float *even = w.reg<float>(regs[0]) + 4 * g, *odd = w.reg<float>(regs[1]) + 4 * g;
    for (u32 t = 0; t < 4; ++t) {
      c[at + 2 * t] = even[t];
      c[at + 2 * t + 1] = odd[t];
    }
  });
}

void restore_accumulators(Warp& w, const WgmmaOp& op, const std::vector<float>& c) {
  for_rows(op.form, [&](u32 block, u32 half, u32 g, size_t at) {
    if (op.form.f16_accumulator) {
      u16* to = w.reg<u16>(op.inst->ops[block * 2 + half]) + 8 * g;
      for (u32 e = 0; e < 8; ++e) to[e] = num::float_to_f16(c[at + e]);
      return;
    }
    const u32* regs = op.inst->ops + block * 4 + half * 2;
    float *even = w.reg<float>(regs[0]) + 4 * g, *odd = w.reg<float>(regs[1]) + 4 * g;
    for (u32 t = 0; t < 4; ++t) {
      even[t] = c[at + 2 * t];
      odd[t] = c[at + 2 * t + 1];
    }
  });
}

WgmmaAccumulators* find_accumulators(WgmmaQueue& q, u32 key) {
  for (WgmmaAccumulators& c : q.accumulators)
    if (c.n && c.key == key) return &c;
  return nullptr;
}

void execute(Warp& w, const WgmmaOp& op, const float* b) {
  const WgmmaForm& f = op.form;
  alignas(64) float a[kRows * 32];
  if (f.a_in_registers) {
    a_from_registers(w, op, a);
  } else {
    fetch_rows(w, op, op.a, f.major_a, f.type_a, w.id % 4 * kRows, kRows, a);
  }
  if (f.negate_a != f.negate_b)
    for (u32 k = 0; k < kRows * f.k; ++k) a[k] = -a[k];
  std::vector<float>& c = find_accumulators(*w.wgmma, op.inst->ops[0])->values;
  if (!op.accumulate) std::fill(c.begin(), c.end(), 0.0f);
  num::multiply_add(options().accumulate, kRows, f.n, f.k, a, b, c.data(), f.n);
  if (f.f16_accumulator)
    for (float& x : c) x = num::f16_to_float(num::float_to_f16(x));
}

// Takes the oldest operation off the queue; the last one on its accumulators writes them back.
void retire(Warp& w, const WgmmaOp& op) {
  WgmmaQueue& q = *w.wgmma;
  const u32 key = op.inst->ops[0];
  const bool more = std::any_of(q.ops.begin() + 1, q.ops.end(),
                                [&](const WgmmaOp& later) { return later.inst->ops[0] == key; });
  if (!more) {
    WgmmaAccumulators& c = *find_accumulators(q, key);
    restore_accumulators(w, op, c.values);
    c.n = 0;
  }
  q.ops.pop_front();
}

std::span<Warp> warpgroup_of(Warp& w) {
  const u32 first = w.id & ~3u;
  return std::span(w.cta->warps).subspan(first, 4);
}

bool all_have_issued(std::span<Warp> group, u64 count) {
  return std::all_of(group.begin(), group.end(),
                     [&](const Warp& w) { return w.wgmma && w.wgmma->issued >= count; });
}

void check_same(Warp& w, const WgmmaOp& op, const WgmmaOp& first) {
  if (op.inst->flags == first.inst->flags && op.a == first.a && op.b == first.b) return;
  const std::string text = "the warps of a warpgroup issue wgmma of different forms or descriptors";
  if (auto* o = observer_of(w))
    o->violation(event_of(w, *op.inst, kAllLanes), check::Rule::kIllegal, text);
  fault(w, *op.inst, FaultKind::kHardwareRule, "%s", text.c_str());
}

// All four warps must have issued it.
void run_oldest(std::span<Warp> group) {
  static thread_local std::vector<float> b;
  const WgmmaOp& first = group[0].wgmma->ops.front();
  b.resize(size_t{first.form.k} * first.form.n);
  fetch_b(group[0], first, b.data());
  for (Warp& w : group) check_same(w, w.wgmma->ops.front(), first);
  for (Warp& w : group) execute(w, w.wgmma->ops.front(), b.data());
  for (Warp& w : group) retire(w, w.wgmma->ops.front());
  note_activity(group[0]);
}

void check_descriptor(Warp& w, const Inst& i, u64 bits) {
  constexpr u64 kUsed = 0xc000'3fff'3fff'3fffull;
  if ((bits & ~kUsed) == 0) return;
  const std::string text =
      format_text("matrix descriptor 0x%016llx: reserved bits or a base offset are set",
                  static_cast<unsigned long long>(bits));
  if (auto* o = observer_of(w))
    o->violation(event_of(w, i, kAllLanes), check::Rule::kIllegal, text);
  fault(w, i, FaultKind::kHardwareRule, "%s", text.c_str());
}

void announce(Warp& w, const WgmmaOp& op) {
  auto* o = observer_of(w);
  if (!o) return;
  const WgmmaForm& f = op.form;
  const u32 count = f.accumulator_registers();
  const check::WarpEvent event = event_of(w, *op.inst, kAllLanes);
  check::WgmmaRegisters registers;
  const std::span<const u32> numbers = w.kernel->watched_registers[w.kernel->index_of(*op.inst)];
  registers.accumulators = numbers.first(count);
  registers.a = numbers.subspan(count);
  o->wgmma_issue(event, registers);
  // What the warpgroup reads is announced when its last warp gets here.
  const u32 first = w.id & ~3u;
  for (u32 k = first; k < first + 4 && k < w.cta->warps.size(); ++k) {
    const auto& other = w.cta->warps[k];
    if (!other.wgmma || other.wgmma->issued < w.wgmma->issued) return;
  }
  std::vector<check::SharedSegment> a, b;
  if (!f.a_in_registers)
    a = descriptor_segments(MatrixDescriptor::unpack(op.a), f.major_a, 64, f.k);
  b = descriptor_segments(MatrixDescriptor::unpack(op.b), f.major_b, f.n, f.k);
  o->wgmma_operands(event, a, b);
}

// The registers hold NaN from now on; their values wait in the queue.
void take_accumulators(Warp& w, const WgmmaOp& op) {
  WgmmaQueue& q = *w.wgmma;
  const u32 key = op.inst->ops[0];
  if (const WgmmaAccumulators* c = find_accumulators(q, key)) {
    if (c->n == op.form.n && c->is_f16 == op.form.f16_accumulator) return;
    const std::string text = "accumulators of a wgmma in flight used with another shape";
    if (auto* o = observer_of(w))
      o->violation(event_of(w, *op.inst, kAllLanes), check::Rule::kWgmmaWait, text);
    fault(w, *op.inst, FaultKind::kHardwareRule, "%s", text.c_str());
  }
  auto c = std::find_if(q.accumulators.begin(), q.accumulators.end(),
                        [](const WgmmaAccumulators& free) { return free.n == 0; });
  if (c == q.accumulators.end()) c = q.accumulators.emplace(c);
  c->key = key;
  c->n = op.form.n;
  c->is_f16 = op.form.f16_accumulator;
  c->values.resize(size_t{kRows} * op.form.n);
  if (op.accumulate) save_accumulators(w, op, c->values);
  for (u32 r = 0; r < op.form.accumulator_registers(); ++r)
    std::memset(w.reg<u32>(op.inst->ops[r]), 0xff, 4 * kWarpSize);
}

}  // namespace

MatrixDescriptor MatrixDescriptor::unpack(u64 bits) {
  static constexpr u32 kSwizzle[4] = {0, 3, 2, 1};
  return {static_cast<u32>(bits & 0x3fff) << 4, static_cast<u32>(bits >> 16 & 0x3fff) << 4,
          static_cast<u32>(bits >> 32 & 0x3fff) << 4, kSwizzle[bits >> 62]};
}

u32 WgmmaForm::pack() const {
  return static_cast<u32>(type_a) | static_cast<u32>(type_b) << 3 | n << 6 | k << 15 |
         u32{f16_accumulator} << 22 | u32{a_in_registers} << 23 | u32{negate_a} << 24 |
         u32{negate_b} << 25 | static_cast<u32>(major_a) << 26 | static_cast<u32>(major_b) << 27;
}

WgmmaForm WgmmaForm::unpack(u32 f) {
  return {static_cast<MatrixType>(f & 7),
          static_cast<MatrixType>(f >> 3 & 7),
          f >> 6 & 0x1ff,
          f >> 15 & 0x7f,
          (f >> 22 & 1) != 0,
          (f >> 23 & 1) != 0,
          (f >> 24 & 1) != 0,
          (f >> 25 & 1) != 0,
          static_cast<Major>(f >> 26 & 1),
          static_cast<Major>(f >> 27 & 1)};
}

std::vector<check::SharedSegment> descriptor_segments(const MatrixDescriptor& d, Major major,
                                                      u32 rows, u32 k) {
  std::vector<check::SharedSegment> segments;
  if (major == Major::kK) {
    for (u32 r = 0; r < rows; ++r)
      for (u32 p = 0; p < 2; ++p) segments.push_back({piece_k_major(d, r, p), 16});
  } else {
    for (u32 row = 0; row < k; ++row)
      for (u32 p = 0; p < rows / 8; ++p) segments.push_back({piece_mn_major(d, p, row), 16});
  }
  return segments;
}

void wgmma_issue(Warp& w, const Inst& i) {
  if (!w.wgmma) w.wgmma = std::make_unique<WgmmaQueue>();
  WgmmaQueue& q = *w.wgmma;
  WgmmaOp op;
  op.inst = &i;
  op.form = WgmmaForm::unpack(i.flags);
  if (!op.form.a_in_registers) op.a = w.reg<u64>(i.a)[0];
  op.b = w.reg<u64>(i.b)[0];
  op.accumulate = w.predicate(i.c) & 1;
  op.group = q.committed;
  if (!op.form.a_in_registers) check_descriptor(w, i, op.a);
  check_descriptor(w, i, op.b);
  take_accumulators(w, op);
  if (InstCount* count = counts_of(w, i))  // k elements are 32 bytes, whatever the type
    count->operand_bytes += (op.form.a_in_registers ? 0 : kRows * 32) + op.form.n * 32 / 4;
  q.ops.push_back(op);
  ++q.issued;
  note_activity(w);
  announce(w, op);
}

void wgmma_commit(Warp& w, const Inst&) {
  if (!w.wgmma) w.wgmma = std::make_unique<WgmmaQueue>();
  ++w.wgmma->committed;
}

bool wgmma_wait_for(Warp& w, u32 pending_groups) {
  if (!w.wgmma) return true;
  WgmmaQueue& q = *w.wgmma;
  u64 wanted = q.issued - q.ops.size();
  for (const WgmmaOp& op : q.ops) wanted += op.group + pending_groups < q.committed;
  if (wanted == q.issued - q.ops.size()) return true;
  const std::span<Warp> group = warpgroup_of(w);
  if (!all_have_issued(group, wanted)) return false;
  while (q.issued - q.ops.size() < wanted) run_oldest(group);
  return true;
}

void wgmma_maybe_progress(Warp& w) {
  const std::span<Warp> group = warpgroup_of(w);
  const auto committed = [](const Warp& member) {
    const WgmmaQueue* q = member.wgmma.get();
    return q && !q->ops.empty() && q->ops.front().group < q->committed;
  };
  while (std::all_of(group.begin(), group.end(), committed) && w.cta->cluster->random.below(2))
    run_oldest(group);
}

}  // namespace emulator
