// What remains when all instructions of a kernel are known: branch targets, the place of dynamic
// shared memory, packed registers.
#include <algorithm>
#include <set>

#include "base/options.hpp"
#include "isa/decoder.hpp"
#include "isa/handlers.hpp"
#include "isa/regalloc.hpp"

namespace emulator::isa {

void KernelBuilder::resolve_branches() {
  for (const Fixup& f : fixups_) {
    bool found = false;
    for (int s = f.scope; s >= 0 && !found; s = scopes_[s].parent) {
      auto it = scopes_[s].labels.find(f.label);
      if (it == scopes_[s].labels.end()) continue;
      found = true;
      if (f.list_index == kNone) {
        kernel_.code[f.inst].target = it->second;
      } else {
        const_cast<u32*>(kernel_.code[f.inst].ops)[f.list_index] = it->second;
      }
    }
    if (!found) module_.errors.push_back("unknown label " + std::string(f.label));
  }
}

void KernelBuilder::place_dynamic_shared() {
  // Hardware aligns the dynamic part to what its declaration asks for; 128 serves TMA, and a kernel
  // that needs more has to align itself.
  u32 alignment = 16;
  for (const auto& v : module_.source.variables)
    if (v.space == "shared" && v.is_array && v.count == 0)
      alignment = std::max(alignment, v.alignment);
  kernel_.dynamic_shared_offset = static_cast<u32>(align_up(kernel_.static_shared, alignment));
  for (const auto& d : dynamic_constants_)
    initial_.push_back({d.reg, d.size, kernel_.dynamic_shared_offset + static_cast<u64>(d.offset)});
}

// The checker watches accesses to registers that some wgmma names.
void KernelBuilder::mark_observed(const std::vector<u32>& offsets) {
  const std::set<u32> watched(wgmma_registers.begin(), wgmma_registers.end());
  std::map<u32, u32> numbers;  // by offset: registers that share a slot share a number
  for (const u32 r : wgmma_registers)
    numbers.try_emplace(offsets[r], static_cast<u32>(numbers.size()));
  kernel_.watched_registers.resize(kernel_.code.size());
  for (u32 k = 0; k < kernel_.code.size(); ++k) {
    Inst& inst = kernel_.code[k];
    std::vector<u32>& list = kernel_.watched_registers[k];
    if (is_wgmma(inst)) {
      for (u32 n = 0; n < inst.op_count; ++n) list.push_back(numbers.at(offsets[inst.ops[n]]));
      continue;
    }
    std::set<u32> touched;
    for (const auto* registers : {&records_[k].uses, &records_[k].defs})
      for (const u32 r : *registers)
        if (watched.count(r)) touched.insert(numbers.at(offsets[r]));
    list.assign(touched.begin(), touched.end());
    inst.observed = !list.empty();
  }
}

void KernelBuilder::allocate_registers() {
  const std::vector<OperandRecord> named = records_;
  for (size_t i = 0; i < kernel_.code.size(); ++i)
    if (is_wgmma_wait(kernel_.code[i]))
      records_[i].uses.insert(records_[i].uses.end(), wgmma_registers.begin(),
                              wgmma_registers.end());
  const Allocation a = allocate(kernel_.code, records_, registers_);
  records_ = named;
  if (options().check && !wgmma_registers.empty()) mark_observed(a.offset);
  auto place = [&](u32& field) {
    if (field != kNone) field = a.offset[field];
  };
  for (Inst& i : kernel_.code) {
    place(i.guard);
    place(i.d);
    place(i.a);
    place(i.b);
    place(i.c);
    place(i.e);
    if (i.flow == Flow::kBranchIndexed || i.raw_ops) continue;
    for (u32 k = 0; k < i.op_count; ++k) place(const_cast<u32*>(i.ops)[k]);
  }
  kernel_.register_bytes = a.bytes;
  kernel_.register_estimate = std::min(255u, a.pressure + 10);
  kernel_.register_template.assign(a.bytes, 0);
  for (const Initial& c : initial_) {
    u8* at = &kernel_.register_template[a.offset[c.reg]];
    if (c.size == 0) {
      std::memcpy(at, &c.bits, 4);
    } else {
      for (u32 l = 0; l < kWarpSize; ++l) std::memcpy(at + l * c.size, &c.bits, c.size);
    }
  }
  for (auto& s : kernel_.specials) s.offset = a.offset[s.offset];
  for (u32 r : shared_constants_)
    kernel_.shared_constants.push_back({a.offset[r], registers_[r].size});
  for (auto [r, offset] : param_constants_)
    kernel_.param_constants.push_back({a.offset[r], offset});
}

}  // namespace emulator::isa
