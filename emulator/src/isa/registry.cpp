// The one table of instructions, and the generic decoding of plain arithmetic.
#include "isa/handlers.hpp"

namespace emulator::isa {

const Registry& registry() {
  static const Registry* table = [] {
    auto* r = new Registry;
    add_integer(*r);
    add_bitwise(*r);
    add_float(*r);
    add_half(*r);
    add_convert(*r);
    add_compare(*r);
    add_moves(*r);
    add_memory(*r);
    add_atomics(*r);
    add_control(*r);
    add_warp_operations(*r);
    add_barriers(*r);
    add_mbarrier(*r);
    add_async_copies(*r);
    add_matrix_moves(*r);
    add_mma(*r);
    add_wgmma(*r);
    add_cluster(*r);
    add_tensormap(*r);
    return r;
  }();
  return *table;
}

namespace {

// Plain registers of the expected widths. Fails quietly when an operand has another width, so that
// a family (cvt with narrow types in wide registers) gets its chance.
bool fits(Decode& d, const AluEntry& e) {
  if (d.ops.size() != e.operands + 1u) return false;
  for (u32 k = 0; k <= e.operands; ++k) {
    const ptx::Operand& o = d.ops[k];
    if (o.kind != ptx::Operand::Kind::kName || !d.builder.is_register(o)) continue;
    if (d.builder.register_size(o) != e.size[k]) return false;
  }
  return true;
}

void decode_alu(Decode& d, const AluEntry& e) {
  d.inst.a = d.use(1, e.size[1]);
  if (e.operands > 1) d.inst.b = d.use(2, e.size[2]);
  if (e.operands > 2) d.inst.c = d.use(3, e.size[3]);
  d.inst.d = d.def(0, e.size[0]);
  d.inst.run = e.run;
}

}  // namespace

void decode_instruction(Decode& d) {
  const AluEntry* alu = registry().find_alu(d.opcode);
  if (alu && fits(d, *alu)) return decode_alu(d, *alu);
  DecodeFn family = registry().find_family(d.mods.mnemonic);
  if (!family) reject(alu ? "operands do not fit" : "unknown instruction");
  family(d);
  if (!d.mods.empty()) reject("unknown modifier " + d.mods.rest());
}

}  // namespace emulator::isa
