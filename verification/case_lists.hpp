// The parts of the table, one file by subject.
#pragma once

#include <string>
#include <vector>

#include "verification/cases.hpp"

namespace flash_kda::verification {

// Two heads of K = V = 128, bf16 in and fp32 out, published distribution.
Case base_case(std::string name, std::int64_t tokens);
Case packed_case(std::string name, std::vector<std::int64_t> lengths);

void add_model_cases(std::vector<Case>& all);       // shapes of published models
void add_length_cases(std::vector<Case>& all);      // tails, empty sequences
void add_type_cases(std::vector<Case>& all);        // dtypes, head dims, gates, norms, beta
void add_memory_cases(std::vector<Case>& all);      // strides, padding, alignment
void add_state_cases(std::vector<Case>& all);       // dense, pool, layouts, aliasing
void add_checkpoint_cases(std::vector<Case>& all);  // every form
void add_hostile_cases(std::vector<Case>& all);     // ends of every range

}  // namespace flash_kda::verification
