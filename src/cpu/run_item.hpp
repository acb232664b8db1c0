// One work item from the first token of its sequence to the last.
#pragma once

#include "core/host_call.hpp"
#include "cpu/split.hpp"

namespace flash_kda::cpu {

struct ItemContext {
  const HostCall& call;
  const Kernels& kernels;
  const WorkSplit& split;
  std::byte* memory;  // thread_bytes(...)
};

void run_chunked_item(const ItemContext& context, const WorkItem& item);
void run_recurrent_item(const ItemContext& context, const WorkItem& item);

}  // namespace flash_kda::cpu
