#include "isa/regalloc.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace emulator::isa {
namespace {

struct Block {
  u32 begin = 0, end = 0;
  std::vector<u32> successors;
  std::vector<u64> use, def, in;
};

using Bits = std::vector<u64>;
bool test(const Bits& b, u32 i) { return b[i / 64] >> (i % 64) & 1; }
void set(Bits& b, u32 i) { b[i / 64] |= 1ull << (i % 64); }

class Liveness {
 public:
  Liveness(const std::vector<Inst>& code, const std::vector<OperandRecord>& records, u32 registers)
      : code_(code), records_(records), words_((registers + 63) / 64) {
    find_blocks();
    for (Block& b : blocks_) summarize(b);
    solve();
  }
  struct Interval {
    u32 begin = kNone, end = 0;
  };
  std::vector<Interval> intervals(u32 registers);

 private:
  void find_blocks();
  void summarize(Block& b);
  void solve();
  const std::vector<Inst>& code_;
  const std::vector<OperandRecord>& records_;
  size_t words_;
  std::vector<Block> blocks_;
};

void Liveness::find_blocks() {
  const u32 n = static_cast<u32>(code_.size());
  std::vector<bool> leader(n + 1, false);
  leader[0] = true;
  auto ends_block = [&](const Inst& i) {
    return i.flow == Flow::kBranch || i.flow == Flow::kBranchIndexed || i.flow == Flow::kExit;
  };
  for (u32 i = 0; i < n; ++i) {
    if (!ends_block(code_[i])) continue;
    leader[i + 1] = true;
    if (code_[i].flow == Flow::kBranch) leader[code_[i].target] = true;
    if (code_[i].flow == Flow::kBranchIndexed)
      for (u32 k = 0; k < code_[i].op_count; ++k) leader[code_[i].ops[k]] = true;
  }
  std::vector<u32> block_of(n + 1, 0);
  for (u32 i = 0; i < n; ++i) {
    if (leader[i]) blocks_.push_back(Block{i, i, {}, Bits(words_), Bits(words_), Bits(words_)});
    block_of[i] = static_cast<u32>(blocks_.size() - 1);
    blocks_.back().end = i + 1;
  }
  for (Block& b : blocks_) {
    const Inst& last = code_[b.end - 1];
    const bool conditional = last.guard != kNone;
    auto add = [&](u32 inst) {
      if (inst < n) b.successors.push_back(block_of[inst]);
    };
    if (last.flow == Flow::kBranch) add(last.target);
    if (last.flow == Flow::kBranchIndexed)
      for (u32 k = 0; k < last.op_count; ++k) add(last.ops[k]);
    if (!ends_block(last) || conditional) add(b.end);
  }
}

void Liveness::summarize(Block& b) {
  for (u32 i = b.begin; i < b.end; ++i) {
    for (u32 r : records_[i].uses)
      if (!test(b.def, r)) set(b.use, r);
    if (code_[i].guard == kNone)
      for (u32 r : records_[i].defs) set(b.def, r);
  }
  b.in = b.use;
}

void Liveness::solve() {
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t k = blocks_.size(); k-- > 0;) {
      Block& b = blocks_[k];
      for (size_t w = 0; w < words_; ++w) {
        u64 out = 0;
        for (u32 s : b.successors) out |= blocks_[s].in[w];
        const u64 in = b.use[w] | (out & ~b.def[w]);
        changed |= in != b.in[w];
        b.in[w] = in;
      }
    }
  }
}

std::vector<Liveness::Interval> Liveness::intervals(u32 registers) {
  std::vector<Interval> result(registers);
  auto extend = [&](u32 r, u32 position) {
    result[r].begin = std::min(result[r].begin, position);
    result[r].end = std::max(result[r].end, position);
  };
  for (const Block& b : blocks_) {
    for (size_t w = 0; w < words_; ++w) {
      u64 out = 0;
      for (u32 s : b.successors) out |= blocks_[s].in[w];
      for (u64 in = b.in[w]; in; in &= in - 1)
        extend(static_cast<u32>(w * 64 + std::countr_zero(in)), b.begin * 2);
      for (; out; out &= out - 1)
        extend(static_cast<u32>(w * 64 + std::countr_zero(out)), b.end * 2);
    }
    for (u32 i = b.begin; i < b.end; ++i) {
      // A handler with several results may write one before it has read all sources.
      const u32 last_use = i * 2 + (records_[i].defs.size() > 1 ? 1 : 0);
      for (u32 r : records_[i].uses) extend(r, last_use);
      for (u32 r : records_[i].defs) extend(r, i * 2 + 1);
    }
  }
  return result;
}

}  // namespace

Allocation allocate(const std::vector<Inst>& code, const std::vector<OperandRecord>& records,
                    const std::vector<VirtualRegister>& registers) {
  const u32 count = static_cast<u32>(registers.size());
  Liveness liveness(code, records, count);
  auto intervals = liveness.intervals(count);
  Allocation result;
  result.offset.assign(count, 0);
  u32 top = 0;
  auto fresh = [&](u32 size) {
    const u32 bytes = size ? size * kWarpSize : 4;
    top = static_cast<u32>(align_up(top, size ? 64 : 4));
    const u32 at = top;
    top += bytes;
    return at;
  };
  std::vector<u32> order;
  for (u32 r = 0; r < count; ++r) {
    if (registers[r].pinned) {
      result.offset[r] = fresh(registers[r].size);
    } else if (intervals[r].begin != kNone) {
      order.push_back(r);
    }
  }
  std::sort(order.begin(), order.end(), [&](u32 x, u32 y) {
    return intervals[x].begin != intervals[y].begin ? intervals[x].begin < intervals[y].begin
                                                    : x < y;
  });
  std::map<u32, std::vector<u32>> free_slots;      // by size
  std::multimap<u32, std::pair<u32, u32>> active;  // end -> (size, slot)
  u32 pressure = 0;
  for (u32 r : order) {
    const u32 size = registers[r].size;
    while (!active.empty() && active.begin()->first < intervals[r].begin) {
      const auto [freed_size, slot] = active.begin()->second;
      free_slots[freed_size].push_back(slot);
      pressure -= (freed_size + 3) / 4;
      active.erase(active.begin());
    }
    auto& pool = free_slots[size];
    u32 slot;
    if (pool.empty()) {
      slot = fresh(size);
    } else {
      slot = pool.back();
      pool.pop_back();
    }
    result.offset[r] = slot;
    active.emplace(intervals[r].end, std::make_pair(size, slot));
    pressure += (size + 3) / 4;
    result.pressure = std::max(result.pressure, pressure);
  }
  result.bytes = static_cast<u32>(align_up(top, 64));
  return result;
}

}  // namespace emulator::isa
