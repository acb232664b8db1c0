// One work item from the first token of its sequence to the last.
#pragma once

#include "core/host_call.hpp"
#include "cpu/shared_item.hpp"
#include "cpu/split.hpp"

namespace flash_kda::cpu {

struct ItemContext {
  const HostCall& call;
  const Kernels& kernels;
  const WorkSplit& split;
  std::byte* memory;  // thread_bytes(...)
};

// As its owner: opens `shared` for helpers.
void run_chunked_item(const ItemContext& context, const WorkItem& item, SharedItem& shared);
// Takes free heads of an item that another thread has opened, until there is none.
void help_chunked_item(const ItemContext& context, SharedItem& shared);
void run_recurrent_item(const ItemContext& context, const WorkItem& item);

}  // namespace flash_kda::cpu
