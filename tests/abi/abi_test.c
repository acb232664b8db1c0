/* The C ABI from C11: defaults, a real call against hand-computed numbers, and every kind of error.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flash_kda/flash_kda.h"

static int failures = 0;

#define EXPECT(condition)                                                                       \
  do {                                                                                          \
    if (!(condition)) {                                                                         \
      fprintf(stderr, "%s:%d: expected %s\n  last error: %s\n", __FILE__, __LINE__, #condition, \
              flash_kda_last_error());                                                          \
      ++failures;                                                                               \
    }                                                                                           \
  } while (0)

#define EXPECT_ERROR(call, code, text)                      \
  do {                                                      \
    EXPECT((call) == (code));                               \
    EXPECT(strstr(flash_kda_last_error(), (text)) != NULL); \
  } while (0)

enum { kTokens = 2, kDim = 64 };

static flash_kda_tensor contiguous(void* data, int32_t dtype, int32_t rank, const int64_t* shape) {
  flash_kda_tensor tensor;
  int64_t stride = 1;
  int32_t dim;
  memset(&tensor, 0, sizeof(tensor));
  tensor.data = data;
  tensor.dtype = dtype;
  tensor.rank = rank;
  for (dim = rank - 1; dim >= 0; --dim) {
    tensor.shape[dim] = shape[dim];
    tensor.strides[dim] = stride;
    stride *= shape[dim];
  }
  return tensor;
}

static flash_kda_problem small_problem(void) {
  flash_kda_problem problem;
  flash_kda_problem_init(&problem);
  problem.tokens = kTokens;
  problem.qk_heads = problem.v_heads = 1;
  problem.head_dim_k = problem.head_dim_v = kDim;
  problem.qkv_dtype = problem.out_dtype = FLASH_KDA_F32;
  problem.gate_dtype = problem.beta_dtype = FLASH_KDA_F32;
  problem.gate_kind = FLASH_KDA_GATE_LOG;
  problem.qk_norm = FLASH_KDA_QK_NORM_NONE;
  problem.beta_form = FLASH_KDA_BETA_ACTIVATED;
  problem.scale = 1.0f;
  return problem;
}

/* k = q = e0 twice, v = 1 then 3 in column 0, beta = 0.5, decay 1/2:
 *   S = 0.5; o = 0.5.   S = 0.25 + 0.5 (3 - 0.25) = 1.625; o = 1.625. */
static void test_call(int32_t backend) {
  float q[kTokens * kDim] = {0}, v[kTokens * kDim] = {0}, g[kTokens * kDim], out[kTokens * kDim];
  float beta[kTokens] = {0.5f, 0.5f};
  static float state[kDim * kDim];
  const int64_t token_shape[4] = {1, kTokens, 1, kDim}, beta_shape[3] = {1, kTokens, 1};
  const int64_t state_shape[4] = {1, 1, kDim, kDim};
  flash_kda_problem problem = small_problem();
  flash_kda_plan_options options;
  flash_kda_plan* plan = NULL;
  flash_kda_tensors tensors;
  void* workspace;
  size_t bytes;
  int i;
  for (i = 0; i < kTokens * kDim; ++i) g[i] = logf(0.5f);
  q[0] = q[kDim] = 1.0f;
  v[0] = 1.0f;
  v[kDim] = 3.0f;

  flash_kda_plan_options_init(&options);
  options.backend = backend;
  EXPECT(flash_kda_plan_create(&problem, &options, &plan) == FLASH_KDA_OK);
  if (plan == NULL) return;
  EXPECT(flash_kda_plan_backend(plan) == backend);
  EXPECT(strlen(flash_kda_plan_describe(plan)) > 0);

  flash_kda_tensors_init(&tensors);
  tensors.q = tensors.k = contiguous(q, FLASH_KDA_F32, 4, token_shape);
  tensors.v = contiguous(v, FLASH_KDA_F32, 4, token_shape);
  tensors.g = contiguous(g, FLASH_KDA_F32, 4, token_shape);
  tensors.beta = contiguous(beta, FLASH_KDA_F32, 3, beta_shape);
  tensors.out = contiguous(out, FLASH_KDA_F32, 4, token_shape);
  tensors.final_state = contiguous(state, FLASH_KDA_F32, 4, state_shape);

  bytes = flash_kda_plan_workspace_bytes(plan);
  bytes = (bytes + 63) / 64 * 64;
  workspace = bytes ? aligned_alloc(flash_kda_plan_workspace_alignment(plan), bytes) : NULL;
  EXPECT(flash_kda_run(plan, &tensors, workspace, bytes, NULL) == FLASH_KDA_OK);
  EXPECT(fabsf(out[0] - 0.5f) < 1e-6f);
  EXPECT(fabsf(out[kDim] - 1.625f) < 1e-6f);
  EXPECT(fabsf(state[0] - 1.625f) < 1e-6f);

  tensors.v.shape[3] = kDim / 2;
  EXPECT_ERROR(flash_kda_run(plan, &tensors, workspace, bytes, NULL), FLASH_KDA_INVALID_ARGUMENT,
               "v: expected [B=1, T>=2, HV=1, V=64], got [1, 2, 1, 32]");
  EXPECT_ERROR(flash_kda_run(plan, NULL, workspace, bytes, NULL), FLASH_KDA_INVALID_ARGUMENT,
               "flash_kda_tensors: expected a pointer");
  free(workspace);
  flash_kda_plan_destroy(plan);
}

static void test_errors(void) {
  flash_kda_problem problem = small_problem();
  flash_kda_plan* plan = NULL;
  EXPECT_ERROR(flash_kda_plan_create(NULL, NULL, &plan), FLASH_KDA_INVALID_ARGUMENT,
               "flash_kda_problem: expected a pointer");
  EXPECT_ERROR(flash_kda_plan_create(&problem, NULL, NULL), FLASH_KDA_INVALID_ARGUMENT,
               "plan: expected a pointer");
  problem.qk_heads = 3;
  EXPECT_ERROR(flash_kda_plan_create(&problem, NULL, &plan), FLASH_KDA_INVALID_ARGUMENT,
               "v_heads: expected a multiple of qk_heads=3, got 1");
  EXPECT(plan == NULL);
  problem = small_problem();
  problem.struct_size = 0;
  EXPECT_ERROR(flash_kda_plan_create(&problem, NULL, &plan), FLASH_KDA_INVALID_ARGUMENT,
               "struct_size");
  problem.struct_size = sizeof(problem) + 8;
  EXPECT_ERROR(flash_kda_supports(&problem, FLASH_KDA_BACKEND_CPU), FLASH_KDA_INVALID_ARGUMENT,
               "struct_size");
  problem = small_problem();
  EXPECT_ERROR(flash_kda_supports(&problem, 42), FLASH_KDA_UNSUPPORTED, "not built");
  EXPECT_ERROR(flash_kda_run(NULL, NULL, NULL, 0, NULL), FLASH_KDA_INVALID_ARGUMENT,
               "plan: expected a pointer");
  flash_kda_plan_destroy(NULL);
  EXPECT(flash_kda_plan_workspace_bytes(NULL) == 0);
}

/* A caller from before the last field existed: its smaller struct still works. */
static void test_older_caller(void) {
  flash_kda_problem problem = small_problem();
  problem.struct_size = offsetof(flash_kda_problem, checkpoint_destination);
  EXPECT(flash_kda_supports(&problem, FLASH_KDA_BACKEND_REFERENCE) == FLASH_KDA_OK);
}

/* Fields of ABI version 2: read where the struct has them, defaults where it does not. */
static void test_options_of_the_fused_kernel(void) {
  flash_kda_problem problem = small_problem();
  flash_kda_plan_options options;
  flash_kda_plan* plan = NULL;
  flash_kda_plan_options_init(&options);
  EXPECT(options.multiprocessors == 0 && options.cuts == FLASH_KDA_CUTS_AUTO);
  options.backend = FLASH_KDA_BACKEND_REFERENCE;
  options.multiprocessors = -1;
  EXPECT_ERROR(flash_kda_plan_create(&problem, &options, &plan), FLASH_KDA_INVALID_ARGUMENT,
               "multiprocessors: expected 0 (all) or more, got -1");
  options.multiprocessors = 4;
  options.cuts = 77;
  EXPECT_ERROR(flash_kda_plan_create(&problem, &options, &plan), FLASH_KDA_INVALID_ARGUMENT,
               "cuts: expected 0 to ");
  options.struct_size = offsetof(flash_kda_plan_options, multiprocessors);
  EXPECT(flash_kda_plan_create(&problem, &options, &plan) == FLASH_KDA_OK);
  EXPECT(flash_kda_plan_cut_counts_offset(plan) == 0);
  flash_kda_plan_destroy(plan);
  EXPECT(flash_kda_plan_cut_counts_offset(NULL) == 0);
}

/* Of ABI version 3; a struct of version 2 ends before it. */
static void test_value_panel(void) {
  flash_kda_problem problem = small_problem();
  flash_kda_plan_options options;
  flash_kda_plan* plan = NULL;
  flash_kda_plan_options_init(&options);
  EXPECT(options.v_panel == 0 && options.reserved == 0);
  EXPECT(options.struct_size == sizeof(options));
  options.backend = FLASH_KDA_BACKEND_REFERENCE;
  options.v_panel = 32;
  EXPECT_ERROR(flash_kda_plan_create(&problem, &options, &plan), FLASH_KDA_INVALID_ARGUMENT,
               "v_panel: expected 0, 64 or 128, got 32");
  options.multiprocessors = -1;
  options.struct_size = offsetof(flash_kda_plan_options, v_panel);
  EXPECT_ERROR(flash_kda_plan_create(&problem, &options, &plan), FLASH_KDA_INVALID_ARGUMENT,
               "multiprocessors: expected 0 (all) or more, got -1");
  options.multiprocessors = 4;
  EXPECT(flash_kda_plan_create(&problem, &options, &plan) == FLASH_KDA_OK);
  flash_kda_plan_destroy(plan);
  options.struct_size = sizeof(options);
  options.v_panel = 128;
  EXPECT(flash_kda_plan_create(&problem, &options, &plan) == FLASH_KDA_OK);
  flash_kda_plan_destroy(plan);
}

int main(void) {
  EXPECT(strlen(flash_kda_version()) > 0);
  EXPECT(flash_kda_abi_version() == FLASH_KDA_ABI_VERSION);
  EXPECT(strstr(flash_kda_build_info(), "cpu") != NULL);
  EXPECT(strcmp(flash_kda_status_name(FLASH_KDA_OK), "ok") == 0);
  test_call(FLASH_KDA_BACKEND_REFERENCE);
  test_call(FLASH_KDA_BACKEND_CPU);
  test_errors();
  test_older_caller();
  test_options_of_the_fused_kernel();
  test_value_panel();
  if (failures == 0) printf("C ABI: all checks passed\n");
  return failures == 0 ? 0 : 1;
}
