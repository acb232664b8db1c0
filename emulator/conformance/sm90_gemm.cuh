// Builds a CUTLASS 3.x SM90 GEMM from its collectives and runs it through the stock adapter.
#pragma once

#include <cute/tensor.hpp>
#include <memory>

#include "cutlass/epilogue/collective/collective_builder.hpp"
#include "cutlass/gemm/collective/collective_builder.hpp"
#include "cutlass/gemm/device/gemm_universal_adapter.h"
#include "cutlass/gemm/dispatch_policy.hpp"
#include "cutlass/gemm/kernel/gemm_universal.hpp"
#include "gemm_case.hpp"
#include "gemm_run.cuh"

namespace emulator_conformance {

template <class Element_, class ElementOut_, Major kAMajor_, Major kBMajor_, class TileShape_,
          class ClusterShape_, class KernelSchedule_, class EpilogueSchedule_,
          class TileScheduler_ = void>
struct Sm90Config {
  using Element = Element_;
  using ElementOut = ElementOut_;
  static constexpr Major kAMajor = kAMajor_;
  static constexpr Major kBMajor = kBMajor_;
  using TileShape = TileShape_;
  using ClusterShape = ClusterShape_;
  using KernelSchedule = KernelSchedule_;
  using EpilogueSchedule = EpilogueSchedule_;
  using TileScheduler = TileScheduler_;
};

template <class Config>
struct Sm90Gemm {
  using Element = typename Config::Element;
  using ElementOut = typename Config::ElementOut;
  using LayoutA = std::conditional_t<Config::kAMajor == Major::kK, cutlass::layout::RowMajor,
                                     cutlass::layout::ColumnMajor>;
  using LayoutB = std::conditional_t<Config::kBMajor == Major::kK, cutlass::layout::ColumnMajor,
                                     cutlass::layout::RowMajor>;
  static constexpr int kAlignment = 16 / sizeof(Element);
  static constexpr int kAlignmentOut = 16 / sizeof(ElementOut);

  using Epilogue = typename cutlass::epilogue::collective::CollectiveBuilder<
      cutlass::arch::Sm90, cutlass::arch::OpClassTensorOp, typename Config::TileShape,
      typename Config::ClusterShape, cutlass::epilogue::collective::EpilogueTileAuto, float, float,
      ElementOut, cutlass::layout::RowMajor, kAlignmentOut, ElementOut, cutlass::layout::RowMajor,
      kAlignmentOut, typename Config::EpilogueSchedule>::CollectiveOp;
  using Mainloop = typename cutlass::gemm::collective::CollectiveBuilder<
      cutlass::arch::Sm90, cutlass::arch::OpClassTensorOp, Element, LayoutA, kAlignment, Element,
      LayoutB, kAlignment, float, typename Config::TileShape, typename Config::ClusterShape,
      cutlass::gemm::collective::StageCountAutoCarveout<static_cast<int>(
          sizeof(typename Epilogue::SharedStorage))>,
      typename Config::KernelSchedule>::CollectiveOp;
  using Kernel = cutlass::gemm::kernel::GemmUniversal<cute::Shape<int, int, int, int>, Mainloop,
                                                      Epilogue, typename Config::TileScheduler>;
  using Device = cutlass::gemm::device::GemmUniversalAdapter<Kernel>;

  static typename Device::Arguments arguments(const GemmProblem& problem) {
    const auto [m, n, k] = problem.shape;
    const auto shape_a = cute::make_shape(m, k, 1);
    const auto shape_b = cute::make_shape(n, k, 1);
    const auto shape_d = cute::make_shape(m, n, 1);
    typename Device::Arguments arguments{};
    arguments.mode = cutlass::gemm::GemmUniversalMode::kGemm;
    arguments.problem_shape = cute::make_shape(m, n, k, 1);
    arguments.mainloop.ptr_A = static_cast<const Element*>(problem.a);
    arguments.mainloop.dA = cutlass::make_cute_packed_stride(typename Kernel::StrideA{}, shape_a);
    arguments.mainloop.ptr_B = static_cast<const Element*>(problem.b);
    arguments.mainloop.dB = cutlass::make_cute_packed_stride(typename Kernel::StrideB{}, shape_b);
    arguments.epilogue.thread.alpha = problem.alpha;
    arguments.epilogue.thread.beta = problem.beta;
    arguments.epilogue.ptr_C = static_cast<const ElementOut*>(problem.c);
    arguments.epilogue.dC = cutlass::make_cute_packed_stride(typename Kernel::StrideC{}, shape_d);
    arguments.epilogue.ptr_D = static_cast<ElementOut*>(problem.d);
    arguments.epilogue.dD = cutlass::make_cute_packed_stride(typename Kernel::StrideD{}, shape_d);
    cudaDeviceGetAttribute(&arguments.hw_info.sm_count, cudaDevAttrMultiProcessorCount, 0);
    return arguments;
  }

  static cudaError_t run(const GemmProblem& problem) {
    return run_device_gemm<Device>(arguments(problem));
  }
};

}  // namespace emulator_conformance
