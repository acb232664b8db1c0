// Builds a CUTLASS 2.x SM80 multistage GEMM (cp.async, ldmatrix, mma.sync).
#pragma once

#include "cutlass/epilogue/thread/linear_combination.h"
#include "cutlass/gemm/device/gemm_universal.h"
#include "cutlass/gemm/threadblock/threadblock_swizzle.h"
#include "gemm_case.hpp"
#include "gemm_run.cuh"

namespace emulator_conformance {

template <class Element_, class ElementOut_, class Accumulator_, Major kAMajor_, Major kBMajor_,
          class TileShape_, class WarpShape_, class InstructionShape_, int kStages_,
          class Swizzle_ = cutlass::gemm::threadblock::GemmIdentityThreadblockSwizzle<>>
struct Sm80Gemm {
  using Element = Element_;
  using ElementOut = ElementOut_;
  using LayoutA = std::conditional_t<kAMajor_ == Major::kK, cutlass::layout::RowMajor,
                                     cutlass::layout::ColumnMajor>;
  using LayoutB = std::conditional_t<kBMajor_ == Major::kK, cutlass::layout::ColumnMajor,
                                     cutlass::layout::RowMajor>;
  static constexpr int kAlignment = 16 / sizeof(Element);
  using Epilogue = cutlass::epilogue::thread::LinearCombination<ElementOut, 16 / sizeof(ElementOut),
                                                                Accumulator_, float>;
  using Device = cutlass::gemm::device::GemmUniversal<
      Element, LayoutA, Element, LayoutB, ElementOut, cutlass::layout::RowMajor, Accumulator_,
      cutlass::arch::OpClassTensorOp, cutlass::arch::Sm80, TileShape_, WarpShape_,
      InstructionShape_, Epilogue, Swizzle_, kStages_, kAlignment, kAlignment>;

  static cudaError_t run(const GemmProblem& problem) { return run_split(problem, 1); }

  // K is cut in `slices`; what a slice means is the swizzle's choice (serial or stream-K).
  static cudaError_t run_split(const GemmProblem& problem, int slices) {
    const auto [m, n, k] = problem.shape;
    const int lda = kAMajor_ == Major::kK ? k : m;
    const int ldb = kBMajor_ == Major::kK ? k : n;
    typename Device::Arguments arguments(cutlass::gemm::GemmUniversalMode::kGemm, {m, n, k}, slices,
                                         {problem.alpha, problem.beta}, problem.a, problem.b,
                                         problem.c, problem.d, int64_t{m} * k, int64_t{n} * k,
                                         int64_t{m} * n, int64_t{m} * n, lda, ldb, n, n);
    return run_device_gemm<Device>(arguments);
  }
};

}  // namespace emulator_conformance
