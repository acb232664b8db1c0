// Decoding of wgmma.
#include "exec/wgmma.hpp"

#include <cstdlib>

#include "exec/access.hpp"
#include "isa/handlers.hpp"
#include "isa/lanes.hpp"

namespace emulator::isa {
namespace {

using num::MatrixType;

void check_warpgroup(Warp& w, const Inst& i) {
  if ((w.cta->warps.size() & 3) && w.id >= (w.cta->warps.size() & ~size_t{3}))
    fault(w, i, FaultKind::kHardwareRule, "warp %u belongs to no complete warpgroup", w.id);
}

void issue(Warp& w, const Inst& i, u32) {
  check_warpgroup(w, i);
  wgmma_issue(w, i);
}

void fence(Warp& w, const Inst& i, u32 mask) {
  if (auto* o = observer_of(w)) o->wgmma_fence(event_of(w, i, mask));
}

void commit(Warp& w, const Inst& i, u32 mask) {
  wgmma_commit(w, i);
  if (auto* o = observer_of(w)) o->wgmma_commit(event_of(w, i, mask));
}

Step wait(Warp& w, const Inst& i, Group&, u32 mask) {
  if (!wgmma_wait_for(w, static_cast<u32>(i.imm))) return Step::kStall;
  if (auto* o = observer_of(w)) o->wgmma_wait(event_of(w, i, mask), static_cast<u32>(i.imm));
  return Step::kDone;
}

bool find_type(std::string_view name, MatrixType& t) {
  if (name == "f16") return t = MatrixType::kF16, true;
  if (name == "bf16") return t = MatrixType::kBf16, true;
  if (name == "tf32") return t = MatrixType::kTf32, true;
  if (name == "e4m3") return t = MatrixType::kE4m3, true;
  if (name == "e5m2") return t = MatrixType::kE5m2, true;
  return false;
}

// m64nNkK
void take_shape(Decode& d, WgmmaForm& f) {
  const std::string shape(d.mods.take_prefix("m64n"));
  if (shape.empty()) reject("needs a shape m64nNkK");
  char* end;
  f.n = static_cast<u32>(std::strtoul(shape.c_str() + 4, &end, 10));
  f.k = *end == 'k' ? static_cast<u32>(std::strtoul(end + 1, nullptr, 10)) : 0;
  if (f.n == 0 || f.n % 8 || f.n > 256) reject("N must be a multiple of 8 up to 256");
}

// scale-a and scale-b: 1 or -1.
bool take_sign(Decode& d, size_t i) {
  const s64 v = d.immediate(i);
  if (v != 1 && v != -1) reject("scale must be 1 or -1");
  return v == -1;
}

Major take_major(Decode& d, size_t i) { return d.immediate(i) ? Major::kMn : Major::kK; }

void decode_mma_async(Decode& d) {
  WgmmaForm f{};
  take_shape(d, f);
  const std::string_view b = d.mods.take_last(), a = d.mods.take_last(), acc = d.mods.take_last();
  if (!find_type(a, f.type_a) || !find_type(b, f.type_b)) reject("unknown types");
  const bool eight = f.type_a == MatrixType::kE4m3 || f.type_a == MatrixType::kE5m2;
  const u32 k = f.type_a == MatrixType::kTf32 ? 8 : eight ? 32 : 16;
  if (f.k != k || (!eight && a != b)) reject("shape does not fit the types");
  if (acc != "f32" && acc != "f16") reject("unknown accumulator type");
  f.f16_accumulator = acc == "f16";
  f.a_in_registers = d.op(1).kind == ptx::Operand::Kind::kVector;
  auto accumulators = d.use_list(d.op(0), 4);
  d.def_list(d.op(0), 4);
  if (accumulators.size() != f.accumulator_registers()) reject("wrong number of accumulators");
  std::vector<u32> list = accumulators;
  if (f.a_in_registers) {
    const auto regs = d.use_list(d.op(1), 4);
    if (regs.size() != 4) reject("wrong number of registers of A");
    list.insert(list.end(), regs.begin(), regs.end());
  } else {
    d.inst.a = d.use(1, 8);
  }
  d.builder.wgmma_registers.insert(d.builder.wgmma_registers.end(), list.begin(), list.end());
  d.inst.b = d.use(2, 8);
  d.inst.c = d.use_predicate(3);
  f.negate_a = take_sign(d, 4);
  f.negate_b = take_sign(d, 5);
  if (k == 16) {
    size_t at = 6;
    if (!f.a_in_registers) f.major_a = take_major(d, at++);
    f.major_b = take_major(d, at);
  }
  d.set_ops(std::move(list));
  d.inst.flags = f.pack();
  d.inst.run = &issue;
  d.builder.kernel().uses_wgmma = true;
}

void decode_wgmma(Decode& d) {
  d.inst.flow = Flow::kConverged;
  if (!d.mods.take("sync") || !d.mods.take("aligned")) reject("needs .sync.aligned");
  if (d.mods.take("mma_async")) {
    decode_mma_async(d);
  } else if (d.mods.take("fence")) {
    d.inst.run = &fence;
  } else if (d.mods.take("commit_group")) {
    d.inst.run = &commit;
  } else if (d.mods.take("wait_group")) {
    d.inst.imm = d.immediate(0);
    d.inst.flow = Flow::kWait;
    d.inst.aligned = true;
    d.inst.wait = &wait;
  } else {
    reject("unknown form");
  }
}

}  // namespace

bool is_wgmma_wait(const Inst& i) { return i.flow == Flow::kWait && i.wait == &wait; }

bool is_wgmma(const Inst& i) { return i.flow == Flow::kConverged && i.run == &issue; }

void add_wgmma(Registry& r) { r.family("wgmma", &decode_wgmma); }

}  // namespace emulator::isa
