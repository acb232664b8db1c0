// A decoded kernel: what the warps execute.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/types.hpp"

namespace emulator {

struct Warp;
struct Inst;
struct Group;

using Handler = void (*)(Warp&, const Inst&, u32 mask);

enum class Step { kDone, kStall, kYield };
// An instruction that may have to wait. It is called again until it answers kDone.
using WaitHandler = Step (*)(Warp&, const Inst&, Group&, u32 mask);

enum class Flow : u8 {
  kNormal,
  kBranch,
  kBranchIndexed,
  kExit,
  kConverged,  // .aligned: all live lanes together
  kMasked,     // .sync with a member mask in register c
  kWait,
};

// Operand fields are byte offsets into the register file of a warp (during decoding: virtual
// register numbers). A register is 32 lanes side by side; a predicate is one 32-bit lane mask.
struct Inst {
  union {
    Handler run = nullptr;
    WaitHandler wait;
  };
  Flow flow = Flow::kNormal;
  bool guard_negated = false;
  bool aligned = false;   // a kWait instruction that also needs all live lanes
  bool raw_ops = false;   // ops holds plain numbers, not registers
  bool observed = false;  // touches registers of a wgmma: the checker wants to know
  u8 space = 0;
  u32 guard = kNone;
  u32 d = kNone, a = kNone, b = kNone, c = kNone, e = kNone;
  u32 target = 0;
  u32 flags = 0;
  u32 op_count = 0;
  s64 imm = 0;
  const u32* ops = nullptr;
};

// Cold facts of an instruction, for reports and for the mutation runner.
struct InstInfo {
  u32 ptx_line = 0;
  u32 file = 0;
  u32 line = 0;
  std::string text;
};

enum class Special : u8 {
  kTidX,
  kTidY,
  kTidZ,
  kNtidX,
  kNtidY,
  kNtidZ,
  kCtaidX,
  kCtaidY,
  kCtaidZ,
  kNctaidX,
  kNctaidY,
  kNctaidZ,
  kLaneid,
  kWarpid,
  kNwarpid,
  kSmid,
  kNsmid,
  kGridid,
  kLanemaskEq,
  kLanemaskLe,
  kLanemaskLt,
  kLanemaskGe,
  kLanemaskGt,
  kClusteridX,
  kClusteridY,
  kClusteridZ,
  kNclusteridX,
  kNclusteridY,
  kNclusteridZ,
  kClusterCtaidX,
  kClusterCtaidY,
  kClusterCtaidZ,
  kClusterNctaidX,
  kClusterNctaidY,
  kClusterNctaidZ,
  kClusterCtarank,
  kClusterNctarank,
  kIsExplicitCluster,
  kDynamicSmemSize,
  kTotalSmemSize,
  kAggrSmemSize,
  kClock,
  kClockHi,
  kClock64,
  kGlobaltimer,
  kGlobaltimerLo,
  kGlobaltimerHi,
  kReservedSmemOffset0,
  kReservedSmemOffset1,
  kReservedSmemOffsetBegin,
  kReservedSmemOffsetEnd,
  kReservedSmemOffsetCap,
  kZero,
  kEnvreg1,
  kEnvreg2,
  kCount
};

struct SpecialRegister {
  Special kind;
  u32 offset;
  u32 size;
};

struct ParamSlot {
  u32 offset;
  u32 size;
};

struct LaunchBounds {
  u32 max_threads[3] = {0, 0, 0};
  u32 required_threads[3] = {0, 0, 0};
  u32 min_ctas = 0;
  u32 cluster[3] = {0, 0, 0};  // .reqnctapercluster
  u32 max_cluster_rank = 0;
  u32 max_registers = 0;
};

struct Module;

struct Kernel {
  std::string name;
  Module* module = nullptr;
  std::vector<Inst> code;
  std::vector<InstInfo> info;
  std::vector<u8> register_template;
  u32 register_bytes = 0;
  // Byte offsets of 32-bit (or 64-bit) shared addresses in the template: the CTA rank is added.
  struct SharedConstant {
    u32 offset;
    u32 size;
  };
  std::vector<SharedConstant> shared_constants;
  // Register-file offsets of 64-bit constants that hold the address of the parameter block.
  std::vector<std::pair<u32, u64>> param_constants;
  std::vector<SpecialRegister> specials;
  std::vector<ParamSlot> params;
  u32 param_bytes = 0;
  u32 static_shared = kSharedReserved;  // end of the statically sized part
  u32 dynamic_shared_offset = kSharedReserved;
  u32 local_bytes = 0;
  u32 register_estimate = 32;  // live 32-bit registers of a thread at the worst point
  LaunchBounds bounds;
  bool uses_wgmma = false;
  bool communicates = false;  // atomics or ordered accesses to global memory: CTAs may talk
  std::deque<std::vector<u32>> operand_lists;
  u32 site_base = 0;  // number of the first instruction over all modules
  // By instruction, only with checks: the registers that it touches of those that some wgmma names,
  // numbered from 0; those of a wgmma in the order of its operands.
  std::vector<std::vector<u32>> watched_registers;

  u32 index_of(const Inst& inst) const { return static_cast<u32>(&inst - code.data()); }
  const InstInfo& info_of(const Inst& inst) const { return info[index_of(inst)]; }
  // "file.cu:12" (or the PTX line) and the instruction, for reports.
  std::string describe(const Inst& inst) const;
};

}  // namespace emulator
