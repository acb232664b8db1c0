// Copies in flight. They land late: at the end of the issuing warp's turn, or, with a seed, some
// random number of rounds later and in any order.
#pragma once

#include <memory>
#include <vector>

#include "check/observer.hpp"
#include "exec/warp.hpp"

namespace emulator {

struct AsyncOp {
  enum class Kind : u8 { kBulkLoad, kBulkStore, kCopy, kCopyArrive };
  Kind kind = Kind::kCopy;
  bool source_read = false;
  bool done = false;
  u32 warp = 0;
  u32 mask = 0;   // lanes that wait for it
  u32 group = 0;  // number of the commit group
  u64 ready = 0;  // round
  const Inst* inst = nullptr;
  check::AsyncId observed = 0;
  virtual ~AsyncOp() = default;
  // Stores read their source some time before they write.
  virtual void read_source(Cta&) {}
  virtual void finish(Cta&) = 0;
};

void enqueue(Warp& w, const Inst& i, std::unique_ptr<AsyncOp> op);
// Runs what is due. Returns true if anything happened.
bool pump(Cta& cta);
// Runs one copy though it is not due: nothing else can make progress.
bool force_one(Cluster& cluster);
void drain(Cta& cta);

}  // namespace emulator
