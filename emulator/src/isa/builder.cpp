#include <algorithm>

#include "base/strings.hpp"
#include "exec/memory.hpp"
#include "isa/decoder.hpp"
#include "isa/handlers.hpp"
#include "isa/special.hpp"

namespace emulator::isa {

using ptx::Operand;
using ptx::Statement;

KernelBuilder::KernelBuilder(Module& module, const ptx::Function& entry, Kernel& kernel)
    : module_(module), entry_(entry), kernel_(kernel) {
  scopes_.emplace_back();
  kernel_.name = std::string(entry.name);
  kernel_.module = &module;
  kernel_.bounds = entry.bounds;
}

u32 KernelBuilder::new_register(u32 size, bool pinned) {
  registers_.push_back({static_cast<u8>(size), pinned});
  return static_cast<u32>(registers_.size() - 1);
}

bool KernelBuilder::find_register(std::string_view name, u32& reg) {
  const std::string_view stem = strip_digits(name);
  for (int s = scope_; s >= 0; s = scopes_[s].parent) {
    auto& scope = scopes_[s];
    if (auto it = scope.registers.find(name); it != scope.registers.end()) {
      reg = it->second;
      return true;
    }
    if (stem.size() == name.size()) continue;
    if (auto it = scope.families.find(stem); it != scope.families.end()) {
      reg = new_register(it->second.size);
      scope.registers.emplace(name, reg);
      return true;
    }
  }
  return false;
}

u32 KernelBuilder::special_register(std::string_view name) {
  Special kind;
  u32 size = 4;
  if (!find_special(name, kind, size)) return kNone;
  auto [it, added] = specials_.try_emplace(static_cast<int>(kind), 0u);
  if (added) {
    it->second = new_register(size, /*pinned=*/true);
    kernel_.specials.push_back({kind, it->second, size});
  }
  return it->second;
}

const KernelBuilder::Symbol* KernelBuilder::find_symbol(std::string_view name) {
  for (int s = scope_; s >= 0; s = scopes_[s].parent) {
    auto it = scopes_[s].symbols.find(name);
    if (it != scopes_[s].symbols.end()) return &it->second;
  }
  return nullptr;
}

bool KernelBuilder::is_local_param(std::string_view name) {
  const Symbol* s = find_symbol(name);
  return s && s->is_param_slot;
}

u32 KernelBuilder::constant(u32 size, u64 bits) {
  if (size == 0) bits = bits ? kAllLanes : 0;
  if (size < 8 && size) bits &= (1ull << (size * 8)) - 1;
  auto [it, added] = constants_.try_emplace({size, bits}, 0u);
  if (added) {
    it->second = new_register(size, /*pinned=*/true);
    initial_.push_back({it->second, size, bits});
  }
  return it->second;
}

u32 KernelBuilder::symbol_constant(const Symbol& s, s64 offset, u32 size) {
  const u64 value = s.value + static_cast<u64>(offset);
  if (s.kind == Symbol::Kind::kLocal || s.kind == Symbol::Kind::kAddress ||
      s.kind == Symbol::Kind::kFunction)
    return constant(size, value);
  auto [it, added] = symbol_constants_.try_emplace({static_cast<int>(s.kind), {value, size}}, 0u);
  if (!added) return it->second;
  const u32 reg = new_register(size, /*pinned=*/true);
  it->second = reg;
  if (s.kind == Symbol::Kind::kParam) {
    param_constants_.push_back({reg, value});
  } else if (s.kind == Symbol::Kind::kDynamicShared) {
    dynamic_constants_.push_back({reg, size, offset});
    shared_constants_.push_back(reg);
  } else {
    initial_.push_back({reg, size, value});
    shared_constants_.push_back(reg);
  }
  return reg;
}

bool KernelBuilder::is_register(const Operand& o) {
  u32 reg;
  Special kind;
  u32 size;
  return o.kind == Operand::Kind::kName &&
         (find_register(o.name, reg) || find_special(o.name, kind, size));
}

u32 KernelBuilder::register_size(const Operand& o) {
  u32 reg;
  if (find_register(o.name, reg)) return registers_[reg].size;
  reg = special_register(o.name);
  if (reg == kNone) reject("'" + std::string(o.name) + "' is not a register");
  return registers_[reg].size;
}

u32 KernelBuilder::use(const Operand& o, u32 size) {
  if (o.kind == Operand::Kind::kImmediate) {
    u64 bits = o.bits;
    if (o.is_float64 && size == 4)
      bits = std::bit_cast<u32>(static_cast<float>(std::bit_cast<double>(o.bits)));
    return constant(size, bits);
  }
  if (o.kind != Operand::Kind::kName) reject("operand is neither register nor constant");
  u32 reg;
  if (find_register(o.name, reg)) {
    // A wider register may be read in part (st.u8 of a .b16 register): the low bytes of a lane.
    if (registers_[reg].size != size)
      reject("register " + std::string(o.name) + " has " + std::to_string(registers_[reg].size) +
             " bytes, expected " + std::to_string(size));
    current_.uses.push_back(reg);
    return reg;
  }
  if (const Symbol* s = find_symbol(o.name)) return symbol_constant(*s, o.offset, size);
  reg = special_register(o.name);
  if (reg == kNone && o.name == "WARP_SZ") return constant(size, kWarpSize);
  if (reg == kNone) reject("unknown name '" + std::string(o.name) + "'");
  return reg;
}

u32 KernelBuilder::def(const Operand& o, u32 size) {
  if (o.kind == Operand::Kind::kSink) {
    const u32 reg = new_register(size);
    current_.defs.push_back(reg);
    return reg;
  }
  u32 reg;
  if (o.kind != Operand::Kind::kName || !find_register(o.name, reg))
    reject("destination '" + std::string(o.name) + "' is not a register");
  if (registers_[reg].size != size)
    reject("register " + std::string(o.name) + " has " + std::to_string(registers_[reg].size) +
           " bytes, expected " + std::to_string(size));
  current_.defs.push_back(reg);
  return reg;
}

u32 KernelBuilder::use_predicate(const Operand& o) { return use(o, 0); }
u32 KernelBuilder::def_predicate(const Operand& o) { return def(o, 0); }

std::vector<u32>& KernelBuilder::add_operand_list(std::vector<u32> list) {
  kernel_.operand_lists.push_back(std::move(list));
  return kernel_.operand_lists.back();
}

u32 KernelBuilder::scratch_local(u32 bytes, u32 alignment) {
  const u32 at = static_cast<u32>(align_up(kernel_.local_bytes, std::max(alignment, 8u)));
  kernel_.local_bytes = at + static_cast<u32>(align_up(bytes, 8));
  return at;
}

u32 KernelBuilder::carry_register() {
  if (carry_ == kNone) carry_ = new_register(0, /*pinned=*/true);
  return carry_;
}

void KernelBuilder::declare_params(const ptx::Function& entry) {
  u32 at = 0;
  for (const auto& p : entry.params) {
    const u32 bytes = ptx::type_bytes(p.type) * static_cast<u32>(p.count);
    at = static_cast<u32>(align_up(at, p.alignment));
    scopes_[0].symbols[p.name] = {Symbol::Kind::kParam, at};
    kernel_.params.push_back({at, bytes});
    at += bytes;
  }
  kernel_.param_bytes = at;
}

void KernelBuilder::declare(const ptx::Variable& v) {
  const u32 bytes = ptx::type_bytes(v.type) * static_cast<u32>(v.count);
  auto& symbols = scopes_[scope_].symbols;
  if (v.space == "shared") {
    kernel_.static_shared = static_cast<u32>(align_up(kernel_.static_shared, v.alignment));
    symbols[v.name] = {Symbol::Kind::kShared, kernel_.static_shared};
    kernel_.static_shared += bytes;
  } else if (v.space == "local") {
    symbols[v.name] = {Symbol::Kind::kLocal, scratch_local(bytes, v.alignment)};
  } else if (v.space == "param") {
    symbols[v.name] = {Symbol::Kind::kLocal, scratch_local(bytes, v.alignment), true};
  } else {
    reject("variable in space ." + std::string(v.space) + " inside a function");
  }
}

void KernelBuilder::emit(Inst inst, const Statement& s) {
  kernel_.code.push_back(inst);
  kernel_.info.push_back({s.ptx_line, file_, line_, collapse_blanks(s.text)});
  records_.push_back(std::move(current_));
  current_ = {};
}

void KernelBuilder::branch_to(Inst& inst, std::string_view label) {
  inst.flow = Flow::kBranch;
  fixups_.push_back({static_cast<u32>(kernel_.code.size()), scope_, label, kNone});
}

std::vector<std::string_view> KernelBuilder::branch_targets(std::string_view label) {
  for (int s = scope_; s >= 0; s = scopes_[s].parent) {
    auto it = scopes_[s].targets.find(label);
    if (it == scopes_[s].targets.end()) continue;
    std::vector<std::string_view> names;
    const u32 inst = static_cast<u32>(kernel_.code.size());
    for (const auto& o : it->second->operands) {
      fixups_.push_back({inst, scope_, o.name, static_cast<u32>(names.size())});
      names.push_back(o.name);
    }
    return names;
  }
  reject("unknown list of branch targets " + std::string(label));
}

void KernelBuilder::instruction(const Statement& s) {
  Inst inst;
  try {
    if (!s.guard.empty()) {
      Operand guard;
      guard.kind = Operand::Kind::kName;
      guard.name = s.guard;
      inst.guard = use_predicate(guard);
      inst.guard_negated = s.guard_negated;
    }
    Decode d{*this, inst, Modifiers(s.opcode), s.operands, s.opcode};
    if (s.opcode.substr(0, 4) == "call") {
      call(d);
      return;
    }
    decode_instruction(d);
    emit(inst, s);
  } catch (const DecodeError& e) {
    current_ = {};
    module_.errors.push_back(std::string(s.opcode) + " (PTX line " + std::to_string(s.ptx_line) +
                             "): " + e.message);
  }
}

void KernelBuilder::ret(Inst& inst) {
  if (frames_.empty()) {
    inst.flow = Flow::kExit;
    return;
  }
  inst.flow = Flow::kBranch;
  frames_.back().returns.push_back(static_cast<u32>(kernel_.code.size()));
}

void KernelBuilder::body(const ptx::Function& f) {
  // Targets of brx.idx may be listed after their use.
  for (const Statement& s : f.body)
    if (s.kind == Statement::Kind::kTargets) scopes_[scope_].targets[s.text] = &s;
  for (const Statement& s : f.body) {
    switch (s.kind) {
      case Statement::Kind::kInstruction:
        instruction(s);
        break;
      case Statement::Kind::kLabel:
        scopes_[scope_].labels[s.text] = static_cast<u32>(kernel_.code.size());
        break;
      case Statement::Kind::kVariable:
        try {
          declare(s.variable);
        } catch (const DecodeError& e) {
          module_.errors.push_back("PTX line " + std::to_string(s.ptx_line) + ": " + e.message);
        }
        break;
      case Statement::Kind::kRegister: {
        const u32 size = ptx::type_bytes(s.variable.type);
        if (s.register_count) {
          scopes_[scope_].families[s.text] = {size};
        } else {
          scopes_[scope_].registers[s.text] = new_register(size);
        }
        break;
      }
      case Statement::Kind::kOpen:
        scopes_.emplace_back();
        scopes_.back().parent = scope_;
        scope_ = static_cast<int>(scopes_.size() - 1);
        break;
      case Statement::Kind::kClose:
        scope_ = scopes_[scope_].parent;
        break;
      case Statement::Kind::kLocation:
        file_ = s.file;
        line_ = s.line;
        break;
      case Statement::Kind::kTargets:
        break;
    }
  }
}

void KernelBuilder::build() {
  for (const auto& v : module_.source.variables) {
    if (v.space == "shared") {
      const bool dynamic = v.is_array && v.count == 0;
      if (dynamic) {
        scopes_[0].symbols[v.name] = {Symbol::Kind::kDynamicShared, 0};
      } else {
        declare(v);
      }
    } else if (auto it = module_.globals.find(v.name); it != module_.globals.end()) {
      scopes_[0].symbols[v.name] = {Symbol::Kind::kAddress, it->second.address};
    }
  }
  declare_params(entry_);
  body(entry_);
  Statement end;
  end.text = "end of kernel";
  Inst exit;
  exit.flow = Flow::kExit;
  emit(exit, end);
  resolve_branches();
  if (!module_.errors.empty()) return;
  place_dynamic_shared();
  allocate_registers();
}

}  // namespace emulator::isa
