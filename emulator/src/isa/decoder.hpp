// From syntax to executable instructions: symbol tables, virtual registers, inlining of calls.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "exec/kernel.hpp"
#include "exec/module.hpp"
#include "ptx/ast.hpp"

namespace emulator::isa {

struct DecodeError {
  std::string message;
};

[[noreturn]] void reject(const std::string& message);

// The dotted parts of an opcode. Every part has to be taken by the decoder; what is left over makes
// the instruction unknown, so that no modifier is ever ignored by mistake.
class Modifiers {
 public:
  explicit Modifiers(std::string_view opcode);
  bool take(std::string_view part);
  // Takes the first of the alternatives that is present; empty when none is.
  std::string_view take_one_of(std::initializer_list<std::string_view> parts);
  std::string_view take_prefix(std::string_view prefix);
  std::string_view take_last();  // usually the type
  bool has(std::string_view part) const;
  bool empty() const { return parts_.empty(); }
  std::string rest() const;
  std::string_view mnemonic;
  size_t size() const { return parts_.size(); }
  std::string_view operator[](size_t i) const { return parts_[i]; }

 private:
  std::vector<std::string_view> parts_;
};

class KernelBuilder;

struct Decode {
  KernelBuilder& builder;
  Inst& inst;
  Modifiers mods;
  std::span<const ptx::Operand> ops;
  std::string_view opcode;

  const ptx::Operand& op(size_t i) const;
  u32 use(size_t i, u32 size);
  u32 def(size_t i, u32 size);
  u32 use_predicate(size_t i);
  u32 def_predicate(size_t i);
  // Vector or scalar operand as a list of registers; sinks become kNone.
  std::vector<u32> use_list(const ptx::Operand& o, u32 size);
  std::vector<u32> def_list(const ptx::Operand& o, u32 size);
  void set_ops(std::vector<u32> list);
  // Address operand: base register into `field`, offset into inst.imm. Returns the width of the
  // base register in bytes.
  u32 address(const ptx::Operand& o, u32& field);
  s64 immediate(size_t i) const;
};

using DecodeFn = void (*)(Decode&);

// One entry for an opcode whose operands are plain registers: d, a, b, c.
struct AluEntry {
  Handler run = nullptr;
  u8 operands = 0;            // sources
  u8 size[4] = {0, 0, 0, 0};  // bytes of d, a, b, c; 0 for predicates
};

class Registry {
 public:
  void alu(const std::string& opcode, AluEntry entry) { alu_[opcode] = entry; }
  void family(const std::string& mnemonic, DecodeFn fn) { families_[mnemonic] = fn; }
  const AluEntry* find_alu(std::string_view opcode) const;
  DecodeFn find_family(std::string_view mnemonic) const;
  size_t alu_count() const { return alu_.size(); }

 private:
  std::map<std::string, AluEntry, std::less<>> alu_;
  std::map<std::string, DecodeFn, std::less<>> families_;
};

const Registry& registry();

struct VirtualRegister {
  u8 size = 4;
  bool pinned = false;  // constants and special registers live for ever
};

struct OperandRecord {
  std::vector<u32> uses, defs;
};

class KernelBuilder {
 public:
  KernelBuilder(Module& module, const ptx::Function& entry, Kernel& kernel);
  void build();  // throws nothing: problems are collected in module.errors

  u32 use(const ptx::Operand& o, u32 size);
  u32 def(const ptx::Operand& o, u32 size);
  u32 use_predicate(const ptx::Operand& o);
  u32 def_predicate(const ptx::Operand& o);
  u32 constant(u32 size, u64 bits);
  void add_use(u32 reg) { current_.uses.push_back(reg); }
  void add_def(u32 reg) { current_.defs.push_back(reg); }
  u32 register_size(const ptx::Operand& o);
  bool is_register(const ptx::Operand& o);
  bool is_local_param(std::string_view name);
  void branch_to(Inst& inst, std::string_view label);
  std::vector<std::string_view> branch_targets(std::string_view label);
  u32 scratch_local(u32 bytes, u32 alignment);
  void call(Decode& d);
  void ret(Inst& inst);
  std::vector<u32>& add_operand_list(std::vector<u32> list);
  u32 carry_register();  // the condition code CC.CF
  Kernel& kernel() { return kernel_; }
  Module& module() { return module_; }
  std::vector<u32> wgmma_registers;

 private:
  struct Symbol {
    enum class Kind { kShared, kDynamicShared, kParam, kLocal, kAddress, kFunction } kind;
    u64 value = 0;
    bool is_param_slot = false;
  };
  struct Family {
    u32 size;
  };
  struct Scope {
    int parent = -1;
    std::unordered_map<std::string_view, u32> registers;
    std::unordered_map<std::string_view, Family> families;
    std::unordered_map<std::string_view, u32> labels;
    std::unordered_map<std::string_view, Symbol> symbols;
    std::unordered_map<std::string_view, const ptx::Statement*> targets;
  };
  struct Fixup {
    u32 inst;
    int scope;
    std::string_view label;
    u32 list_index;  // for brx.idx: position in ops; kNone otherwise
  };
  struct Frame {  // of an inlined function
    const ptx::Function* function;
    std::vector<u32> returns;  // instructions that jump to the end
  };

  u32 new_register(u32 size, bool pinned = false);
  bool find_register(std::string_view name, u32& reg);
  u32 special_register(std::string_view name);
  const Symbol* find_symbol(std::string_view name);
  u32 symbol_constant(const Symbol& s, s64 offset, u32 size);
  void declare_params(const ptx::Function& entry);
  void body(const ptx::Function& f);
  void declare(const ptx::Variable& v);
  void instruction(const ptx::Statement& s);
  void emit(Inst inst, const ptx::Statement& s);
  void place_dynamic_shared();
  void resolve_branches();
  void allocate_registers();
  void mark_observed(const std::vector<u32>& offsets);

  Module& module_;
  const ptx::Function& entry_;
  Kernel& kernel_;
  std::vector<Scope> scopes_;
  int scope_ = 0;
  std::vector<VirtualRegister> registers_;
  std::vector<OperandRecord> records_;
  OperandRecord current_;
  std::map<std::pair<u32, u64>, u32> constants_;
  struct Initial {
    u32 reg;
    u32 size;
    u64 bits;
  };
  std::vector<Initial> initial_;
  struct DynamicConstant {
    u32 reg;
    u32 size;
    s64 offset;
  };
  std::vector<DynamicConstant> dynamic_constants_;
  std::vector<u32> shared_constants_;
  std::vector<std::pair<u32, u64>> param_constants_;
  std::map<std::pair<int, std::pair<u64, u32>>, u32> symbol_constants_;
  std::map<int, u32> specials_;
  std::vector<Fixup> fixups_;
  std::vector<Frame> frames_;
  u32 carry_ = kNone;
  u32 file_ = 0, line_ = 0;
};

}  // namespace emulator::isa
