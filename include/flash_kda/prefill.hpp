// The operation: make a plan for a problem, then run it on tensors as often as wanted.
//
//   Problem problem{.tokens = 4096, .qk_heads = 8, .v_heads = 8, .head_dim_k = 128, ...};
//   Result<Plan> plan = make_plan(problem);
//   std::vector<std::byte> workspace(plan->workspace_bytes);
//   Status status = run(*plan, tensors, {workspace.data(), workspace.size()});
//
// A decode step is the same call with T = 1; the plan then picks the recurrent algorithm.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "flash_kda/export.h"
#include "flash_kda/problem.hpp"
#include "flash_kda/status.hpp"
#include "flash_kda/tensor_view.hpp"

namespace flash_kda {

enum class BackendKind : std::int32_t {
  kReference,  // fp64, token by token: the definition
  kCpu,        // fast, vectorised, threaded
  kCuda,       // NVIDIA GPUs
};

// Arithmetic of the fast backends; the reference is always fp64.
enum class Precision : std::int32_t {
  kF32,   // fp32 products and sums
  kBF16,  // bf16 products, fp32 sums and state
};

enum class Algorithm : std::int32_t {
  kAuto,       // the plan decides; never found in a Plan
  kRecurrent,  // token by token
  kChunked,    // chunks of config.chunk_size tokens
  kFused,      // the same in one kernel; CUDA, compute capability 9.0 only
};

// Where the fused CUDA kernel may cut a sequence to share its work among multiprocessors.
enum class Cuts : std::int32_t {
  // Also where gates, keys and betas before the cut prove that at most 2^-20 of the state from
  // before them is left: the part after the cut starts at zero that many tokens earlier.
  kAuto,
  kExact,  // only where the part after the cut can wait for the state of the part before
};

// What becomes of a chain (a sequence of one head) with a cut that is not proven.
enum class Unproven : std::int32_t {
  kWait,        // its parts run one after the other
  kTwoKernels,  // all of it is left to two kernels, launched after the fused one
  // All of it is left to clusters of two blocks with 64 value rows each, in the fused kernel's own
  // launch, when they are done with their shares.
  kSplit,
  // The same by all blocks, in segments of config.segment_tokens whose effects are found side by
  // side and merged.
  kSegments,
};

struct PlanOptions {
  // Absent: the fastest backend that supports the problem (never the reference).
  // FLASH_KDA_BACKEND=reference|cpu|cuda in the environment forces one.
  std::optional<BackendKind> backend;
  Precision precision = Precision::kF32;
  int threads = 0;  // CPU threads at most; 0: all that the process may use
  Algorithm algorithm = Algorithm::kAuto;
  int multiprocessors = 0;  // of a GPU, that the fused kernel may use at most; 0: all
  Cuts cuts = Cuts::kAuto;
  // Value rows that a block of the fused kernel owns: 128; 64, in clusters of two blocks that share
  // a chain; 0: the plan's choice.
  int v_panel = 0;
};

// The plan's choice, a printable value. Results depend on nothing else but the data: a fixed config
// gives the same bits for every number of threads and every neighbour in the batch.
struct Config {
  BackendKind backend = BackendKind::kReference;
  std::string target;  // instruction set or GPU variant: "fp64", "AVX3+BF16", "AVX2", ...
  Precision precision = Precision::kF32;
  Algorithm algorithm = Algorithm::kRecurrent;
  int chunk_size = 1;           // C; 1 when recurrent
  std::int64_t v_panel = 0;     // value columns that one work item owns
  std::int64_t work_items = 0;  // independent pieces: (sequence, head, V panel)
  // Sequences are cut every so many tokens, the parts computed side by side and merged; 0: whole.
  // kFused: only of chains without proof; the first segment then has twice as many.
  std::int64_t segment_tokens = 0;
  int threads = 1;
  int multiprocessors = 0;  // on which the fused kernel stays; 0: another algorithm
  int warm_up_tokens = 0;   // that it replays at most after a cut; 0: every cut is exact
  Unproven unproven = Unproven::kWait;  // kFused only
  std::string reason;                   // why this algorithm and split, one sentence
};
FLASH_KDA_API std::string to_string(const Config& config);

struct Plan {
  Problem problem;
  Config config;
  std::size_t workspace_bytes = 0;  // a pure function of problem and options
  // Where a call leaves three std::uint32_t in the workspace: parts of sequences after a cut that
  // started from a replay, that waited for the state of the part before, and that were left to the
  // exact kernels. 0: nowhere.
  std::size_t cut_counts_offset = 0;
  // Of the workspace's address. 64: one cache line and one AVX-512 vector.
  static constexpr std::size_t kWorkspaceAlignment = 64;
};

// The data of one call. Shapes are checked against plan.problem. The last dimension is contiguous,
// every other stride is free, and token-wise buffers may hold more rows than the problem names.
struct Tensors {
  TensorView q, k;  // [B, T, H, K]
  TensorView v;     // [B, T, HV, V]
  TensorView g;     // [B, T, HV, K]; meaning: problem.gate
  TensorView beta;  // [B, T, HV]; meaning: problem.beta_form
  TensorView out;   // [B, T, HV, V]; rows past the last sequence stay untouched

  std::optional<TensorView> A_log;    // f32, HV elements at least, any shape; absent: 0
  std::optional<TensorView> dt_bias;  // f32 [HV, K] or [HV * K]; absent: 0

  std::optional<TensorView> cu_seqlens;  // i32 or i64 [N + 1]; required when varlen

  // StateStorage::kDense. [N, HV, V, K] (or [.., K, V]); absent initial: zero; both may be one.
  std::optional<TensorView> initial_state, final_state;
  // StateStorage::kPool.
  std::optional<TensorView> state_pool;     // [slots, HV, V, K], any slot pitch
  std::optional<TensorView> state_indices;  // i32 or i64 [N]; -1: start at zero, write nothing
  // Either storage. u8 [N]; 0: start this sequence at zero; absent: all start from their state.
  std::optional<TensorView> has_initial_state;

  // CheckpointKind::kEvery and kOffsets. Offsets count tokens from the start of the sequence.
  // kDense destination: [rows, HV, V, K] for kEvery, [N, max_offsets, HV, V, K] for kOffsets.
  // kPool destination:  [slots, HV, V, K].
  std::optional<TensorView> checkpoints;
  std::optional<TensorView> checkpoint_offsets;  // i32 or i64 [N, max_offsets]; kOffsets only
  // i32 or i64, [rows] for kEvery, [N, max_offsets] for kOffsets; kPool destination only.
  std::optional<TensorView> checkpoint_slots;
};

struct Workspace {
  void* data = nullptr;
  std::size_t bytes = 0;
};

// cudaStream_t of the CUDA backend, null: its default stream. Ignored by CPU backends.
using StreamHandle = void*;

struct Support {
  bool supported = false;
  std::string reason;  // why not; empty when supported
};

struct BackendInfo {
  BackendKind kind;
  std::string description;
  bool available = false;  // can run on this machine
  std::string unavailable_reason;
  std::string targets;  // instruction sets or GPUs found, best first, comma separated
};

// Yes, or the reason, for one backend. Never an error: a malformed problem is unsupported too.
FLASH_KDA_API Support supports(const Problem& problem, BackendKind backend);

// The backends built into this library, fastest first.
FLASH_KDA_API std::span<const BackendKind> backends();
FLASH_KDA_API BackendInfo backend_info(BackendKind backend);

FLASH_KDA_API Result<Plan> make_plan(const Problem& problem, const PlanOptions& options = {});

// Checks the tensors once, then computes. Allocates nothing unless it fails, and touches no memory
// outside the tensors and the workspace. CPU backends read cu_seqlens, indices and offsets and
// refuse bad values before the first write; the CUDA backend never reads device data on the host.
// Thread safe: one plan may run on many threads, each with its own workspace.
FLASH_KDA_API Status run(const Plan& plan, const Tensors& tensors, Workspace workspace,
                         StreamHandle stream = nullptr);

// The same for tensors in host memory, whatever the backend: a CUDA plan works on copies of them in
// device memory, allocated for this call, and is done when this returns.
FLASH_KDA_API Status run_from_host(const Plan& plan, const Tensors& tensors, Workspace workspace);

const char* to_string(BackendKind backend);
FLASH_KDA_API const char* to_string(Precision precision);
FLASH_KDA_API const char* to_string(Algorithm algorithm);

}  // namespace flash_kda
