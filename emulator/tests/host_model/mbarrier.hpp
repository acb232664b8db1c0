// The mbarrier object as the PTX manual describes it.
#pragma once

#include <cstdint>

namespace host_model {

class Mbarrier {
 public:
  struct State {
    uint32_t phase;
    uint32_t pending;
  };

  void init(uint32_t count) { *this = Mbarrier{}, expected_ = pending_ = count; }
  State state() const { return {phase_, pending_}; }
  uint32_t pending() const { return pending_; }
  uint32_t expected() const { return expected_; }
  int32_t transactions() const { return transactions_; }

  State arrive(uint32_t count) {
    const State before = state();
    pending_ -= count;
    settle();
    return before;
  }
  State arrive_drop(uint32_t count) {
    expected_ -= count;
    return arrive(count);
  }
  void expect_transactions(uint32_t bytes) { transactions_ += static_cast<int32_t>(bytes); }
  void complete_transactions(uint32_t bytes) {
    transactions_ -= static_cast<int32_t>(bytes);
    settle();
  }

  // Has the phase of `state` ended?
  bool test(State state) const { return phase_ != state.phase; }
  bool test_parity(uint32_t parity) const { return (phase_ & 1) != parity; }

 private:
  void settle() {
    if (pending_ != 0 || transactions_ != 0) return;
    ++phase_;
    pending_ = expected_;
  }

  uint32_t phase_ = 0;
  uint32_t expected_ = 0;
  uint32_t pending_ = 0;
  int32_t transactions_ = 0;
};

}  // namespace host_model
