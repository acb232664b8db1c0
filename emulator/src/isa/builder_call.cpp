// Calls are inlined: the callee's formals become other names for the caller's .param variables.
#include "isa/decoder.hpp"
#include "isa/handlers.hpp"

namespace emulator::isa {

using ptx::Operand;
using ptx::Statement;

void KernelBuilder::call(Decode& d) {
  d.mods.take("uni");
  if (!d.mods.empty()) reject("unknown modifier " + d.mods.rest());
  size_t next = 0;
  const Operand* results = nullptr;
  if (d.op(0).kind == Operand::Kind::kList) results = &d.op(next++);
  const Operand& callee = d.op(next++);
  const Operand* arguments = next < d.ops.size() ? &d.op(next) : nullptr;
  auto slots = [&](const Operand* list) {
    std::vector<Symbol> s;
    if (!list) return s;
    for (const auto& e : list->elements) {
      const Symbol* symbol = find_symbol(e.name);
      if (!symbol) reject("call argument '" + std::string(e.name) + "' is not a .param variable");
      s.push_back(*symbol);
    }
    return s;
  };
  const auto result_slots = slots(results), argument_slots = slots(arguments);
  Statement at;
  at.text = callee.name;
  if (Handler builtin = find_builtin_function(callee.name)) {
    std::vector<u32> list;
    for (const auto& s : argument_slots) list.push_back(static_cast<u32>(s.value));
    d.inst.imm = result_slots.empty() ? -1 : static_cast<s64>(result_slots[0].value);
    d.set_ops(std::move(list));
    d.inst.raw_ops = true;  // offsets in local memory
    d.inst.run = builtin;
    emit(d.inst, at);
    return;
  }
  const ptx::Function* target = nullptr;
  for (const auto& f : module_.source.functions)
    if (f.name == callee.name && f.has_body) target = &f;
  if (!target) reject("call of '" + std::string(callee.name) + "', which has no body here");
  for (const auto& frame : frames_)
    if (frame.function == target) reject("recursive call of '" + std::string(callee.name) + "'");
  // Inlined: the callee's formals are other names for the caller's .param variables.
  u32 skip = kNone;
  if (d.inst.guard != kNone) {
    Inst jump = d.inst;
    jump.guard_negated = !jump.guard_negated;
    jump.flow = Flow::kBranch;
    skip = static_cast<u32>(kernel_.code.size());
    emit(jump, at);
  }
  const int caller = scope_;
  scopes_.emplace_back();
  scope_ = static_cast<int>(scopes_.size() - 1);
  scopes_[scope_].parent = 0;
  for (size_t i = 0; i < target->results.size() && i < result_slots.size(); ++i)
    scopes_[scope_].symbols[target->results[i].name] = result_slots[i];
  for (size_t i = 0; i < target->params.size() && i < argument_slots.size(); ++i)
    scopes_[scope_].symbols[target->params[i].name] = argument_slots[i];
  const u32 file = file_, line = line_;
  frames_.push_back({target, {}});
  body(*target);
  const u32 end = static_cast<u32>(kernel_.code.size());
  for (u32 i : frames_.back().returns) kernel_.code[i].target = end;
  frames_.pop_back();
  file_ = file;
  line_ = line;
  scope_ = caller;
  if (skip != kNone) kernel_.code[skip].target = end;
}

}  // namespace emulator::isa
