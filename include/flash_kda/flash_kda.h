/* C ABI of FlashKDA. Plain C, stable: structs begin with their size, and grow only at the end.
 *
 * Every function returns a flash_kda_status and never throws, prints or aborts. The message of the
 * last failure of this thread is flash_kda_last_error().
 *
 *   flash_kda_problem problem;
 *   flash_kda_problem_init(&problem);           // sizes, defaults
 *   problem.tokens = 4096; problem.qk_heads = problem.v_heads = 8; ...
 *   flash_kda_plan* plan = NULL;
 *   if (flash_kda_plan_create(&problem, NULL, &plan) != FLASH_KDA_OK)
 *     puts(flash_kda_last_error());
 *   void* workspace = aligned_alloc(64, flash_kda_plan_workspace_bytes(plan));
 *   flash_kda_run(plan, &tensors, workspace, bytes, NULL);
 *
 * Meanings, shapes and units of every field: flash_kda/problem.hpp and flash_kda/prefill.hpp.
 */
#ifndef FLASH_KDA_FLASH_KDA_H_
#define FLASH_KDA_FLASH_KDA_H_

#include <stddef.h>
#include <stdint.h>

#include "flash_kda/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when a struct grows or a function is added; never when a meaning changes (none does). */
#define FLASH_KDA_ABI_VERSION 3

typedef enum flash_kda_status {
  FLASH_KDA_OK = 0,
  FLASH_KDA_INVALID_ARGUMENT = 1,
  FLASH_KDA_UNSUPPORTED = 2,
  FLASH_KDA_WORKSPACE_TOO_SMALL = 3,
  FLASH_KDA_OUT_OF_MEMORY = 4,
  FLASH_KDA_DEVICE_ERROR = 5,
  FLASH_KDA_INTERNAL = 6
} flash_kda_status;

/* Values of the int32_t fields below. */
enum { /* dtype */
       FLASH_KDA_F32 = 0,
       FLASH_KDA_BF16 = 1,
       FLASH_KDA_F16 = 2,
       FLASH_KDA_I32 = 3,
       FLASH_KDA_I64 = 4,
       FLASH_KDA_U8 = 5
};
enum { FLASH_KDA_GATE_LOWER_BOUND = 0, FLASH_KDA_GATE_SOFTPLUS = 1, FLASH_KDA_GATE_LOG = 2 };
enum { FLASH_KDA_QK_NORM_NONE = 0, FLASH_KDA_QK_NORM_L2 = 1 };
enum { FLASH_KDA_BETA_LOGITS = 0, FLASH_KDA_BETA_ACTIVATED = 1 };
enum { FLASH_KDA_BETA_UNIT = 0, FLASH_KDA_BETA_DOUBLED = 1 };
enum { FLASH_KDA_STATE_VK = 0, FLASH_KDA_STATE_KV = 1 };
enum { FLASH_KDA_STATE_DENSE = 0, FLASH_KDA_STATE_POOL = 1 };
enum {
  FLASH_KDA_CHECKPOINTS_NONE = 0,
  FLASH_KDA_CHECKPOINTS_EVERY = 1,
  FLASH_KDA_CHECKPOINTS_OFFSETS = 2
};
enum { FLASH_KDA_BACKEND_REFERENCE = 0, FLASH_KDA_BACKEND_CPU = 1, FLASH_KDA_BACKEND_CUDA = 2 };
enum { FLASH_KDA_BACKEND_FASTEST = -1 };
enum { FLASH_KDA_PRECISION_F32 = 0, FLASH_KDA_PRECISION_BF16 = 1 };
enum {
  FLASH_KDA_ALGORITHM_AUTO = 0,
  FLASH_KDA_ALGORITHM_RECURRENT = 1,
  FLASH_KDA_ALGORITHM_CHUNKED = 2,
  FLASH_KDA_ALGORITHM_FUSED = 3
};
enum { FLASH_KDA_CUTS_AUTO = 0, FLASH_KDA_CUTS_EXACT = 1 };

#define FLASH_KDA_MAX_RANK 6

/* data == NULL and rank == 0: the tensor is absent. */
typedef struct flash_kda_tensor {
  void* data;
  int32_t dtype;
  int32_t rank;
  int64_t shape[FLASH_KDA_MAX_RANK];
  int64_t strides[FLASH_KDA_MAX_RANK]; /* in elements */
} flash_kda_tensor;

typedef struct flash_kda_problem {
  size_t struct_size; /* sizeof(flash_kda_problem); set by flash_kda_problem_init */
  int64_t batch;
  int64_t tokens;
  int64_t num_sequences; /* -1: fixed length, one sequence a batch row */
  int64_t qk_heads;
  int64_t v_heads;
  int64_t head_dim_k;
  int64_t head_dim_v;
  int32_t qkv_dtype;
  int32_t out_dtype;
  int32_t gate_dtype;
  int32_t beta_dtype;
  int32_t gate_kind;
  float lower_bound;
  int32_t qk_norm;
  int32_t beta_form;
  int32_t beta_range;
  float scale; /* NaN: head_dim_k ^ -0.5 */
  int32_t state_storage;
  int32_t state_dtype;
  int32_t state_layout;
  int32_t checkpoint_kind;
  int64_t state_pool_slots;
  int64_t checkpoint_every;
  int64_t checkpoint_max_offsets;
  int64_t checkpoint_pool_slots;
  int32_t checkpoint_destination;
  int32_t reserved; /* 0 */
} flash_kda_problem;

typedef struct flash_kda_plan_options {
  size_t struct_size; /* sizeof(flash_kda_plan_options); set by flash_kda_plan_options_init */
  int32_t backend;    /* FLASH_KDA_BACKEND_FASTEST or one of them */
  int32_t precision;
  int32_t threads; /* 0: all that the process may use */
  int32_t algorithm;
  /* Since FLASH_KDA_ABI_VERSION 2; both of the fused CUDA kernel. */
  int32_t multiprocessors; /* at most; 0: all */
  int32_t cuts;
  /* Since FLASH_KDA_ABI_VERSION 3. Value rows of a block of that kernel: 0 (the plan's choice), 64
   * (clusters of two blocks share a chain) or 128. */
  int32_t v_panel;
  int32_t reserved; /* 0 */
} flash_kda_plan_options;

typedef struct flash_kda_tensors {
  size_t struct_size; /* sizeof(flash_kda_tensors); set by flash_kda_tensors_init */
  flash_kda_tensor q, k, v, g, beta, out;
  flash_kda_tensor A_log, dt_bias;
  flash_kda_tensor cu_seqlens;
  flash_kda_tensor initial_state, final_state;
  flash_kda_tensor state_pool, state_indices, has_initial_state;
  flash_kda_tensor checkpoints, checkpoint_offsets, checkpoint_slots;
} flash_kda_tensors;

typedef struct flash_kda_plan flash_kda_plan; /* immutable; may be shared between threads */

FLASH_KDA_API const char* flash_kda_version(void);
FLASH_KDA_API int flash_kda_abi_version(void);
/* "FlashKDA 0.1.0, backends: cpu (AVX3+BF16, AVX3, AVX2), reference". */
FLASH_KDA_API const char* flash_kda_build_info(void);
/* Message of this thread's last failed call, "" if none. Valid until its next failed call. */
FLASH_KDA_API const char* flash_kda_last_error(void);
FLASH_KDA_API const char* flash_kda_status_name(flash_kda_status status);

/* Defaults: one batch row, bf16, lower-bound gate of -5, l2 norm, beta logits, dense fp32 states.
 */
FLASH_KDA_API void flash_kda_problem_init(flash_kda_problem* problem);
FLASH_KDA_API void flash_kda_plan_options_init(flash_kda_plan_options* options);
/* Every tensor absent. */
FLASH_KDA_API void flash_kda_tensors_init(flash_kda_tensors* tensors);

/* FLASH_KDA_OK when the backend can run the problem; else the reason is flash_kda_last_error(). */
FLASH_KDA_API flash_kda_status flash_kda_supports(const flash_kda_problem* problem,
                                                  int32_t backend);

/* options may be NULL. *plan is set on success only; destroy it when done (NULL is allowed). */
FLASH_KDA_API flash_kda_status flash_kda_plan_create(const flash_kda_problem* problem,
                                                     const flash_kda_plan_options* options,
                                                     flash_kda_plan** plan);
FLASH_KDA_API void flash_kda_plan_destroy(flash_kda_plan* plan);
FLASH_KDA_API size_t flash_kda_plan_workspace_bytes(const flash_kda_plan* plan);
FLASH_KDA_API size_t flash_kda_plan_workspace_alignment(const flash_kda_plan* plan);
FLASH_KDA_API int32_t flash_kda_plan_backend(const flash_kda_plan* plan);
/* Where in the workspace, in bytes, a call leaves three uint32_t: parts of sequences after a cut
 * that started from a replay of some tokens, parts that waited for the state of the part before,
 * and parts that were left to the exact kernels. 0: this plan cuts no sequence, or not so. Since
 * FLASH_KDA_ABI_VERSION 2. */
FLASH_KDA_API size_t flash_kda_plan_cut_counts_offset(const flash_kda_plan* plan);
/* The choice in one line; lives as long as the plan. */
FLASH_KDA_API const char* flash_kda_plan_describe(const flash_kda_plan* plan);

/* stream: cudaStream_t of the CUDA backend (NULL: default stream); ignored by the CPU backends. */
FLASH_KDA_API flash_kda_status flash_kda_run(const flash_kda_plan* plan,
                                             const flash_kda_tensors* tensors, void* workspace,
                                             size_t workspace_bytes, void* stream);

#ifdef __cplusplus
}
#endif

#endif /* FLASH_KDA_FLASH_KDA_H_ */
