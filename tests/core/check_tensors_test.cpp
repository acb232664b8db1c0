#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <ostream>

#include "core/call_fixture.hpp"
#include "core/checks.hpp"

namespace flash_kda {
namespace {

struct BadCall {
  const char* name;
  std::function<void(CallFixture&)> bend;
  const char* message;
};

// How CTest lists the case.
void PrintTo(const BadCall& test, std::ostream* stream) { *stream << test.name; }

class CheckTensors : public testing::TestWithParam<BadCall> {};

TEST_P(CheckTensors, RefusesAndNamesTheArgument) {
  CallFixture call;
  ASSERT_TRUE(check_tensors(call.problem, call.tensors).ok());
  GetParam().bend(call);
  const Status status = check_tensors(call.problem, call.tensors);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), testing::HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Arguments, CheckTensors,
    testing::Values(
        BadCall{"g_shape", [](CallFixture& c) { c.tensors.g.shape[3] = 8; },
                "g: expected [B=1, T>=8, HV=4, K=16], got [1, 8, 4, 8]"},
        BadCall{"too_few_rows", [](CallFixture& c) { c.tensors.v.shape[1] = 7; },
                "v: expected [B=1, T>=8, HV=4, V=32], got [1, 7, 4, 32]"},
        BadCall{"rank", [](CallFixture& c) { c.tensors.beta.rank = 2; },
                "beta: expected [B=1, T>=8, HV=4], got [1, 8]"},
        BadCall{"absurd_rank", [](CallFixture& c) { c.tensors.q.rank = 99; }, "q: expected"},
        BadCall{"dtype", [](CallFixture& c) { c.tensors.k.dtype = DType::kF32; },
                "k: expected dtype bf16, got f32"},
        BadCall{"null", [](CallFixture& c) { c.tensors.out.data = nullptr; },
                "out: expected data, got a null pointer"},
        BadCall{"last_stride", [](CallFixture& c) { c.tensors.q.strides[3] = 2; },
                "q: expected the last dimension contiguous (stride 1), got stride 2"},
        BadCall{"overlapping_out", [](CallFixture& c) { c.tensors.out.strides[2] = 0; },
                "out: expected strides under which no two elements overlap"},
        BadCall{"misaligned",
                [](CallFixture& c) { c.tensors.q.data = reinterpret_cast<char*>(c.qk.data()) + 1; },
                "q: expected an address aligned to 2 bytes"},
        BadCall{"no_cu_seqlens", [](CallFixture& c) { c.tensors.cu_seqlens.reset(); },
                "cu_seqlens: required"},
        BadCall{"cu_seqlens_length", [](CallFixture& c) { c.tensors.cu_seqlens->shape[0] = 3; },
                "cu_seqlens: expected [N+1=4], got [3]"},
        BadCall{"cu_seqlens_dtype",
                [](CallFixture& c) { c.tensors.cu_seqlens->dtype = DType::kF32; },
                "cu_seqlens: expected dtype i32 or i64, got f32"},
        BadCall{"cu_seqlens_unasked", [](CallFixture& c) { c.problem.num_sequences.reset(); },
                "cu_seqlens: expected to be absent"},
        BadCall{"A_log_short",
                [](CallFixture& c) {
                  c.tensors.A_log = TensorView::contiguous(c.parameters.data(), DType::kF32, {3});
                },
                "A_log: expected at least 4 elements (HV), got [3]"},
        BadCall{"dt_bias_size",
                [](CallFixture& c) {
                  c.tensors.dt_bias = TensorView::contiguous(c.parameters.data(), DType::kF32, {4});
                },
                "dt_bias: expected 64 elements (HV*K), got [4]"},
        BadCall{"log_gate_parameters",
                [](CallFixture& c) {
                  c.problem.gate.kind = GateKind::kLog;
                  c.tensors.A_log = TensorView::contiguous(c.parameters.data(), DType::kF32, {4});
                },
                "A_log: expected to be absent with the log gate"},
        BadCall{"state_layout",
                [](CallFixture& c) {
                  c.problem.state.layout = StateLayout::kKV;
                  c.tensors.final_state = c.state_view(3);
                },
                "final_state: expected [N=3, HV=4, K=16, V=32], got [3, 4, 32, 16]"},
        BadCall{"pool_without_indices",
                [](CallFixture& c) {
                  c.use_pool(6);
                  c.tensors.state_indices.reset();
                },
                "state_indices: required with a state pool"},
        BadCall{"pool_and_dense",
                [](CallFixture& c) {
                  c.use_pool(6);
                  c.tensors.final_state = c.state_view(3);
                },
                "final_state: expected to be absent with a state pool"},
        BadCall{"checkpoints_unasked",
                [](CallFixture& c) { c.tensors.checkpoints = c.state_view(3); },
                "checkpoints: expected to be absent"},
        BadCall{"checkpoint_slots_missing",
                [](CallFixture& c) {
                  c.use_offsets_into_pool(6);
                  c.tensors.checkpoint_slots.reset();
                },
                "checkpoint_slots: required"},
        BadCall{"checkpoint_offsets_shape",
                [](CallFixture& c) {
                  c.use_offsets_into_pool(6);
                  c.tensors.checkpoint_offsets->shape[1] = 1;
                },
                "checkpoint_offsets: expected [N=3, max_offsets=2], got [3, 1]"}),
    [](const auto& test) { return test.param.name; });

TEST(CheckTensors, AcceptsStridesPaddingAndBroadcastInputs) {
  CallFixture call;
  call.tensors.q.strides[0] = -7;    // one batch row: its stride is never used
  call.tensors.beta.strides[1] = 0;  // every token shares one beta row
  call.tensors.g.shape[1] = 64;      // more rows than tokens
  EXPECT_TRUE(check_tensors(call.problem, call.tensors).ok());
}

TEST(CheckTensors, AcceptsA_logInTheShapesOfCheckpoints) {
  CallFixture call;
  call.tensors.A_log = TensorView::contiguous(call.parameters.data(), DType::kF32, {1, 1, 4, 1});
  EXPECT_TRUE(check_tensors(call.problem, call.tensors).ok());
  call.tensors.A_log = TensorView::contiguous(call.parameters.data(), DType::kF32, {64});
  EXPECT_TRUE(check_tensors(call.problem, call.tensors).ok());
}

TEST(CheckTensors, SurvivesExtentsAndStridesThatOverflow) {
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  CallFixture call;
  call.tensors.out.strides[1] = kMax / 2;
  call.tensors.out.strides[2] = kMin;
  EXPECT_FALSE(check_tensors(call.problem, call.tensors).ok());
  call = CallFixture();
  call.tensors.A_log = TensorView::contiguous(call.parameters.data(), DType::kF32, {1});
  call.tensors.A_log->rank = 3;
  call.tensors.A_log->shape = {kMax, kMax, kMax};
  EXPECT_FALSE(check_tensors(call.problem, call.tensors).ok());
}

TEST(CheckTensors, AcceptsAPoolWithPaddedSlots) {
  CallFixture call;
  call.use_pool(3);
  call.tensors.state_pool->strides[0] *= 2;
  EXPECT_TRUE(check_tensors(call.problem, call.tensors).ok());
}

}  // namespace
}  // namespace flash_kda
