#include "core/host_call.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/call_fixture.hpp"

namespace flash_kda {
namespace {

using testing::HasSubstr;

Status check(CallFixture& call) {
  return HostCall::check_values(call.problem, call.tensors, call.whole_workspace());
}

TEST(HostCall, TakesPackedSequencesApart) {
  CallFixture fixture;
  ASSERT_TRUE(check(fixture).ok());
  const HostCall call(fixture.problem, fixture.tensors, fixture.whole_workspace());
  EXPECT_EQ(call.num_sequences(), 3);
  EXPECT_EQ(call.sequence(0).length, 3);
  EXPECT_EQ(call.sequence(1).length, 0);
  EXPECT_EQ(call.sequence(2).bos, 3);
  EXPECT_EQ(call.sequence(2).length, 5);
}

TEST(HostCall, FixedLengthSequencesAreBatchRows) {
  CallFixture fixture;
  fixture.problem.num_sequences.reset();
  fixture.tensors.cu_seqlens.reset();
  const HostCall call(fixture.problem, fixture.tensors, fixture.whole_workspace());
  EXPECT_EQ(call.num_sequences(), 1);
  EXPECT_EQ(call.sequence(0).batch_row, 0);
  EXPECT_EQ(call.sequence(0).length, 8);
}

TEST(HostCall, RefusesBadCuSeqlens) {
  CallFixture fixture;
  fixture.cu_seqlens = {1, 3, 3, 8};
  EXPECT_THAT(check(fixture).message(), HasSubstr("cu_seqlens[0]: expected 0, got 1"));
  fixture.cu_seqlens = {0, 3, 2, 8};
  EXPECT_THAT(check(fixture).message(), HasSubstr("cu_seqlens[2]: expected at least"));
  fixture.cu_seqlens = {0, -3, 2, 8};
  EXPECT_THAT(check(fixture).message(), HasSubstr("cu_seqlens[1]"));
  fixture.cu_seqlens = {0, 3, 3, 9};
  EXPECT_THAT(check(fixture).message(), HasSubstr("cu_seqlens[3]: expected at most T=8, got 9"));
}

TEST(HostCall, PoolIndicesChooseSlotsInPlace) {
  CallFixture fixture;
  fixture.use_pool(6);
  ASSERT_TRUE(check(fixture).ok());
  const HostCall call(fixture.problem, fixture.tensors, fixture.whole_workspace());
  EXPECT_EQ(call.final_state(0, 1).data, fixture.states.data() + (2 * 4 + 1) * 32 * 16);
  EXPECT_EQ(call.initial_state(0, 1).data, call.final_state(0, 1).data);
  EXPECT_FALSE(call.initial_state(1, 0));
  EXPECT_FALSE(call.final_state(1, 0));
}

TEST(HostCall, MaskStartsASequenceAtZeroButStillWrites) {
  CallFixture fixture;
  fixture.use_pool(6);
  fixture.has_initial = {0, 0, 1};
  fixture.tensors.has_initial_state =
      TensorView::contiguous(fixture.has_initial.data(), DType::kU8, {3});
  ASSERT_TRUE(check(fixture).ok());
  const HostCall call(fixture.problem, fixture.tensors, fixture.whole_workspace());
  EXPECT_FALSE(call.initial_state(0, 0));
  EXPECT_TRUE(call.final_state(0, 0));
  EXPECT_TRUE(call.initial_state(2, 0));
}

TEST(HostCall, RefusesSlotsOutsideThePoolAndSharedSlots) {
  CallFixture fixture;
  fixture.use_pool(6);
  fixture.indices = {6, -1, 0};
  EXPECT_THAT(check(fixture).message(),
              HasSubstr("state_indices[0]: expected -1 or a slot below 6"));
  fixture.indices = {1, -2, 0};
  EXPECT_THAT(check(fixture).message(), HasSubstr("state_indices[1]"));
  fixture.indices = {1, -1, 1};
  EXPECT_THAT(check(fixture).message(),
              HasSubstr("state_indices[2]: slot 1 is written more than once"));
}

TEST(HostCall, OffsetsIntoThePoolThatAlsoHoldsTheStates) {
  CallFixture fixture;
  fixture.use_pool(6);
  fixture.use_offsets_into_pool(6);
  EXPECT_THAT(check(fixture).message(), HasSubstr("checkpoint_slots[0]: slot 0 is written more"));
  fixture.slots = {1, 3, 99, 99, 4, -1};
  EXPECT_TRUE(check(fixture).ok()) << check(fixture).message();
}

TEST(HostCall, OffsetsAreVisitedInOrderWhateverTheirListing) {
  CallFixture fixture;
  fixture.use_offsets_into_pool(6);
  ASSERT_TRUE(check(fixture).ok()) << check(fixture).message();
  const HostCall call(fixture.problem, fixture.tensors, fixture.whole_workspace());
  EXPECT_EQ(call.next_checkpoint(0, 0), 1);
  EXPECT_EQ(call.next_checkpoint(0, 1), 3);
  EXPECT_EQ(call.next_checkpoint(0, 3), -1);
  EXPECT_EQ(call.next_checkpoint(1, 0), -1);
  EXPECT_TRUE(call.checkpoint_at(0, 1, 1, 0));
  EXPECT_FALSE(call.checkpoint_at(0, 0, 1, 0));
  EXPECT_FALSE(call.checkpoint_at(2, 1, 2, 0)) << "slot -1 is skipped";
}

TEST(HostCall, RefusesOffsetsPastTheEnd) {
  CallFixture fixture;
  fixture.use_offsets_into_pool(6);
  fixture.offsets = {3, 4, 0, -1, 5, 2};
  EXPECT_THAT(
      check(fixture).message(),
      HasSubstr("checkpoint_offsets[0, 1]: expected at most the sequence's length 3, got 4"));
}

TEST(HostCall, EveryNCountsRowsBySequence) {
  CallFixture fixture;
  fixture.problem.checkpoints = {.kind = CheckpointKind::kEvery, .every = 2};
  fixture.tensors.checkpoints = fixture.state_view(3);
  ASSERT_TRUE(check(fixture).ok()) << check(fixture).message();
  const HostCall call(fixture.problem, fixture.tensors, fixture.whole_workspace());
  EXPECT_EQ(call.num_checkpoint_entries(0), 1);
  EXPECT_EQ(call.num_checkpoint_entries(2), 2);
  EXPECT_EQ(call.next_checkpoint(2, 0), 2);
  EXPECT_EQ(call.next_checkpoint(2, 2), 4);
  EXPECT_EQ(call.next_checkpoint(2, 4), -1);
  EXPECT_EQ(call.checkpoint_at(2, 1, 4, 0).data, fixture.states.data() + 2 * 4 * 32 * 16);
  fixture.tensors.checkpoints = fixture.state_view(2);
  EXPECT_THAT(check(fixture).message(), HasSubstr("checkpoints: expected at least 3 rows"));
}

}  // namespace
}  // namespace flash_kda
