// The table of named cases that every backend is verified on. A case is data: a problem, the
// lengths of its sequences, how its numbers are drawn and how its tensors lie in memory.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "flash_kda/prefill.hpp"

namespace flash_kda::verification {

// Log decay of a token. "Open" keeps the state, "closed" forgets as fast as the gate allows.
enum class GateInput {
  kPublished,    // logits N(0, 1), A_log and dt_bias U(0, 1); kLog: -|N(0, 1)| nats
  kSlow,         // logits N(-4, 1); kLog: at most 0.05 nats: a memory of hundreds of tokens
  kOpen,         // every decay is 1
  kClosed,       // lower_bound everywhere; kSoftplus: logits +8; kLog: -5 nats
  kSteep,        // exp(A_log) up to 50; kLog: N(0, 20) nats, and every 5th token -1000
  kAlternating,  // a token and channel is either fully open or (nearly) fully closed
};

enum class KeyInput {
  kGaussian,
  kCorrelated,  // half of every key is one common vector
  kIdentical,   // every token of a head has the same key
  kZeros,       // every 3rd key is zero, and all keys of head 0
};

enum class BetaInput { kPublished, kZero, kOne };

// What a case says about the accuracy to expect; docs/numerics.md has one line of bounds for each.
enum class Distribution {
  kPublished,   // what kernels of this kind are published and benchmarked with
  kLongMemory,  // decays near 1
  kHostile,     // steep or alternating gates, correlated keys, negative eigenvalues
  kUndamped,    // an eigenvalue of -1 that no decay damps: errors add up over the sequence
};

struct InputSpec {
  GateInput gate = GateInput::kPublished;
  KeyInput keys = KeyInput::kGaussian;
  BetaInput beta = BetaInput::kPublished;
  bool has_gate_parameters = true;  // A_log and dt_bias
};

enum class TokenLayout {
  kPacked,      // [B, T, heads, dim] without gaps
  kStrided,     // a different pitch per token, head and row in every tensor
  kHeadMajor,   // [B, heads, T, dim] seen through strides
  kPaddedRows,  // more token rows than the problem names
};

enum class InitialState { kAbsent, kGiven, kMasked };    // kMasked: every 2nd one is not used
enum class FinalState { kAbsent, kSeparate, kInPlace };  // kInPlace: the same tensor as initial

struct MemorySpec {
  TokenLayout tokens = TokenLayout::kPacked;
  bool misaligned = false;  // every pointer one element past a cache line
  InitialState initial = InitialState::kAbsent;
  FinalState final = FinalState::kSeparate;
  bool strided_states = false;  // a free slot pitch
  DType index_dtype = DType::kI32;
};

struct Case {
  std::string name;
  Problem problem;
  // Of the sequences of a packed batch; empty: fixed length, problem.tokens each.
  std::vector<std::int64_t> lengths;
  InputSpec inputs{};
  MemorySpec memory;
  // CheckpointKind::kOffsets: max_offsets per sequence, sequence by sequence.
  std::vector<std::int64_t> checkpoint_offsets;
};

Distribution distribution(const Case& c);
const char* to_string(Distribution distribution);

std::span<const Case> cases();
const Case* find_case(const std::string& name);

}  // namespace flash_kda::verification
