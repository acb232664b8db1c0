// Branches, exits, traps, and functions of the device runtime (printf, assert, malloc).
#include "exec/access.hpp"
#include "exec/memory.hpp"
#include "isa/handlers.hpp"
#include "isa/lanes.hpp"
#include "isa/printf.hpp"

namespace emulator::isa {
namespace {

void decode_bra(Decode& d) {
  d.mods.take("uni");
  d.builder.branch_to(d.inst, d.op(0).name);
}

void decode_brx(Decode& d) {
  if (!d.mods.take("idx")) reject("unknown form");
  d.mods.take("uni");
  d.inst.a = d.use(0, 4);
  d.inst.flow = Flow::kBranchIndexed;
  std::vector<u32> targets(d.builder.branch_targets(d.op(1).name).size(), 0);
  d.set_ops(std::move(targets));
}

void decode_exit(Decode& d) { d.inst.flow = Flow::kExit; }

void decode_ret(Decode& d) {
  d.mods.take("uni");
  d.builder.ret(d.inst);
}

void trap(Warp& w, const Inst& i, u32 mask) {
  fault(w, i, FaultKind::kTrap, "trap executed by lanes %08x", mask);
}

void decode_trap(Decode& d) { d.inst.run = &trap; }

void decode_nanosleep(Decode& d) {
  if (d.mods.take_last() != "u32") reject("unknown type");
  d.inst.a = d.use(0, 4);
  d.inst.flow = Flow::kWait;
  d.inst.wait = [](Warp&, const Inst&, Group& g, u32) {
    // One turn of the other warps is the shortest sleep there is.
    if (g.token == 0) {
      g.token = 1;
      return Step::kYield;
    }
    g.token = 0;
    return Step::kDone;
  };
}

// More registers have to be given back by other warps first: too large a sum waits for ever.
Step set_registers(Warp& w, const Inst& i, Group&, u32) {
  const u32 wanted = static_cast<u32>(i.imm);
  if (w.registers == 0) return Step::kDone;
  const bool more = i.flags != 0;
  if (more && wanted > w.registers) {
    const u32 extra = wanted - w.registers;
    if (w.cta->free_registers < extra) return Step::kStall;
    w.cta->free_registers -= extra;
    w.registers = wanted;
  } else if (!more && wanted < w.registers) {
    w.cta->free_registers += w.registers - wanted;
    w.registers = wanted;
    note_activity(w);
  }
  return Step::kDone;
}

void decode_setmaxnreg(Decode& d) {
  const bool inc = d.mods.take("inc");
  if (!inc && !d.mods.take("dec")) reject("needs .inc or .dec");
  d.mods.take("sync");
  d.mods.take("aligned");
  if (d.mods.take_last() != "u32") reject("unknown type");
  const s64 count = d.immediate(0);
  if (count < 24 || count > 256 || count % 8)
    reject("register count must be 24..256, a multiple of 8");
  d.inst.imm = count;
  d.inst.flags = inc;
  d.inst.flow = Flow::kWait;
  d.inst.aligned = true;
  d.inst.wait = &set_registers;
}

// Arguments of a call lie in the caller's .param variables, which are local memory.
const u8* argument(Warp& w, const Inst& i, u32 lane, u32 index) {
  return w.local + size_t{lane} * w.kernel->local_bytes + i.ops[index];
}
void set_result(Warp& w, const Inst& i, u32 lane, u64 value, u32 bytes) {
  if (i.imm < 0) return;
  std::memcpy(w.local + size_t{lane} * w.kernel->local_bytes + i.imm, &value, bytes);
}

// Host view of a generic address that a lane hands to the device runtime.
const u8* generic(Warp& w, const Inst& i, u32 lane, u64 address) {
  LanePointers lanes;
  lanes.address[lane] = address;
  resolve(w, i, Space::kGeneric, 1u << lane, 1, {}, lanes);
  return lanes.pointer[lane];
}

std::string text_at(Warp& w, const Inst& i, u32 lane, u64 address) {
  return address ? reinterpret_cast<const char*>(generic(w, i, lane, address)) : "(null)";
}

void call_vprintf(Warp& w, const Inst& i, u32 mask) {
  for_lanes(mask, [&](u32 l) {
    const u64 format = load_as<u64>(argument(w, i, l, 0));
    const u64 values = load_as<u64>(argument(w, i, l, 1));
    const std::string f = text_at(w, i, l, format);
    const u8* v = values ? generic(w, i, l, values) : nullptr;
    const std::string out = format_device(f, v, [&](u64 a) { return text_at(w, i, l, a); });
    std::fwrite(out.data(), 1, out.size(), stdout);
    set_result(w, i, l, count_conversions(f), 4);
  });
}

void call_assertfail(Warp& w, const Inst& i, u32 mask) {
  const u32 l = lowest_lane(mask);
  const std::string message = text_at(w, i, l, load_as<u64>(argument(w, i, l, 0)));
  const std::string file = text_at(w, i, l, load_as<u64>(argument(w, i, l, 1)));
  const u32 line = load_as<u32>(argument(w, i, l, 2));
  const std::string function = text_at(w, i, l, load_as<u64>(argument(w, i, l, 3)));
  fault(w, i, FaultKind::kAssert, "%s:%u: %s: lane %u: assertion `%s` failed", file.c_str(), line,
        function.c_str(), l, message.c_str());
}

void call_malloc(Warp& w, const Inst& i, u32 mask) {
  for_lanes(mask, [&](u32 l) {
    const u64 bytes = load_as<u64>(argument(w, i, l, 0));
    set_result(w, i, l, DeviceMemory::instance().allocate(bytes, MemoryKind::kDevice), 8);
  });
}

void call_free(Warp& w, const Inst& i, u32 mask) {
  for_lanes(mask, [&](u32 l) {
    const u64 address = load_as<u64>(argument(w, i, l, 0));
    if (address && !DeviceMemory::instance().release(address))
      fault(w, i, FaultKind::kIllegalAddress, "lane %u: free of 0x%llx, which is not allocated", l,
            static_cast<unsigned long long>(address));
  });
}

}  // namespace

Handler find_builtin_function(std::string_view name) {
  if (name == "vprintf") return &call_vprintf;
  if (name == "__assertfail") return &call_assertfail;
  if (name == "malloc") return &call_malloc;
  if (name == "free") return &call_free;
  return nullptr;
}

void add_control(Registry& r) {
  r.family("bra", &decode_bra);
  r.family("brx", &decode_brx);
  r.family("ret", &decode_ret);
  r.family("exit", &decode_exit);
  r.family("trap", &decode_trap);
  r.family("brkpt", &decode_trap);
  r.family("nanosleep", &decode_nanosleep);
  r.family("setmaxnreg", &decode_setmaxnreg);
}

}  // namespace emulator::isa
