// What the files of isa/ offer to each other and to the machine.
#pragma once

#include <string_view>

#include "exec/warp.hpp"
#include "isa/decoder.hpp"

namespace emulator::isa {

void decode_instruction(Decode& d);
Handler find_builtin_function(std::string_view name);
bool is_wgmma_wait(const Inst& inst);
bool is_wgmma(const Inst& inst);  // mma_async
void decode_red_async(Decode& d);
void decode_st_async(Decode& d);
void decode_bulk(Decode& d);  // cp.async.bulk and cp.reduce.async.bulk

// Each fills its part of the table.
void add_integer(Registry& r);
void add_bitwise(Registry& r);
void add_float(Registry& r);
void add_half(Registry& r);
void add_convert(Registry& r);
void add_compare(Registry& r);
void add_moves(Registry& r);
void add_memory(Registry& r);
void add_atomics(Registry& r);
void add_control(Registry& r);
void add_warp_operations(Registry& r);
void add_barriers(Registry& r);
void add_mbarrier(Registry& r);
void add_async_copies(Registry& r);
void add_matrix_moves(Registry& r);
void add_mma(Registry& r);
void add_wgmma(Registry& r);
void add_cluster(Registry& r);
void add_tensormap(Registry& r);

}  // namespace emulator::isa
