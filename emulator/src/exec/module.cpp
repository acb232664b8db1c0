#include "exec/module.hpp"

#include "exec/checker.hpp"
#include "exec/error.hpp"
#include "exec/memory.hpp"
#include "isa/decoder.hpp"

namespace emulator {
namespace {

u64 symbol_address(const Module& m, std::string_view name) {
  auto it = m.globals.find(name);
  return it == m.globals.end() ? 0 : it->second.address;
}

void place_variables(Module& m) {
  for (const auto& v : m.source.variables) {
    if (v.space == "shared") continue;
    const u64 bytes = std::max<u64>(1, ptx::type_bytes(v.type) * std::max<u64>(1, v.count));
    const u64 address = DeviceMemory::instance().allocate(bytes, MemoryKind::kModule);
    if (!address) {
      m.errors.push_back("no memory for variable " + std::string(v.name));
      continue;
    }
    m.globals[std::string(v.name)] = {address, bytes};
    std::memset(reinterpret_cast<void*>(address), 0, bytes);
  }
}

void initialize_variables(Module& m) {
  for (const auto& v : m.source.variables) {
    if (v.values.empty() || v.space == "shared") continue;
    const u64 base = symbol_address(m, v.name);
    const u32 size = ptx::type_bytes(v.type);
    u64 at = base;
    for (const auto& value : v.values) {
      u64 bits = value.bits;
      if (!value.symbol.empty())
        bits = symbol_address(m, value.symbol) + static_cast<u64>(value.offset);
      std::memcpy(reinterpret_cast<void*>(at), &bits, size);
      at += size;
    }
  }
}

}  // namespace

Kernel* Module::find(std::string_view name) {
  for (Kernel& k : kernels)
    if (k.name == name) return &k;
  return nullptr;
}

std::unique_ptr<Module> load_module(std::string ptx) {
  auto m = std::make_unique<Module>();
  ptx::ParseError error;
  if (!ptx::parse(std::move(ptx), m->source, error)) {
    m->errors.push_back(format_text("PTX line %u: %s", error.line, error.message.c_str()));
    return m;
  }
  place_variables(*m);
  initialize_variables(*m);
  if (check::Observer* c = checker())
    for (const auto& [name, g] : m->globals)
      c->allocated(g.address, g.bytes, check::Observer::Contents::kDefined);
  for (const auto& f : m->source.functions) {
    if (!f.is_entry || !f.has_body) continue;
    Kernel& k = m->kernels.emplace_back();
    isa::KernelBuilder(*m, f, k).build();
    register_sites(k);
  }
  return m;
}

}  // namespace emulator
