/* One sequence through the C ABI. */
#include <stdio.h>
#include <stdlib.h>

#include "flash_kda/flash_kda.h"

enum { kTokens = 64, kHeads = 2, kDim = 64 };

static flash_kda_tensor token_tensor(float* data, int64_t last) {
  flash_kda_tensor tensor = {0};
  tensor.data = data;
  tensor.dtype = FLASH_KDA_F32;
  tensor.rank = 4;
  tensor.shape[0] = 1;
  tensor.shape[1] = kTokens;
  tensor.shape[2] = kHeads;
  tensor.shape[3] = last;
  tensor.strides[0] = kTokens * kHeads * last;
  tensor.strides[1] = kHeads * last;
  tensor.strides[2] = last;
  tensor.strides[3] = 1;
  return tensor;
}

int main(void) {
  static float values[kTokens * kHeads * kDim], beta[kTokens * kHeads],
      out[kTokens * kHeads * kDim];
  flash_kda_problem problem;
  flash_kda_tensors tensors;
  flash_kda_plan* plan = NULL;
  void* workspace;
  size_t bytes;
  int i;

  for (i = 0; i < kTokens * kHeads * kDim; ++i) values[i] = (float)(i * 37 % 101) / 50.0f - 1.0f;

  flash_kda_problem_init(&problem);
  problem.tokens = kTokens;
  problem.qk_heads = problem.v_heads = kHeads;
  problem.head_dim_k = problem.head_dim_v = kDim;
  problem.qkv_dtype = problem.out_dtype = FLASH_KDA_F32;
  problem.gate_dtype = problem.beta_dtype = FLASH_KDA_F32;
  if (flash_kda_plan_create(&problem, NULL, &plan) != FLASH_KDA_OK) {
    fprintf(stderr, "%s\n", flash_kda_last_error());
    return 1;
  }
  printf("%s\n", flash_kda_plan_describe(plan));

  flash_kda_tensors_init(&tensors);
  tensors.q = tensors.k = tensors.v = tensors.g = token_tensor(values, kDim);
  tensors.out = token_tensor(out, kDim);
  tensors.beta = token_tensor(beta, 1); /* [1, T, H]: drop the last dimension */
  tensors.beta.rank = 3;

  bytes = (flash_kda_plan_workspace_bytes(plan) + 63) / 64 * 64;
  workspace = aligned_alloc(flash_kda_plan_workspace_alignment(plan), bytes);
  if (flash_kda_run(plan, &tensors, workspace, bytes, NULL) != FLASH_KDA_OK) {
    fprintf(stderr, "%s\n", flash_kda_last_error());
    return 1;
  }
  printf("out[0, 0, 0, :3] = %g %g %g\n", out[0], out[1], out[2]);
  free(workspace);
  flash_kda_plan_destroy(plan);
  return 0;
}
