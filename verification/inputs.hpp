// The tensors of a case: numbers drawn from a seed, the same on every machine, in hostile memory.
// Every byte that is not an input is NaN: gaps, guard bands, results before the call, workspace.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "flash_kda/prefill.hpp"
#include "verification/cases.hpp"
#include "verification/guarded_buffer.hpp"
#include "verification/places.hpp"

namespace flash_kda::verification {

class CaseData {
 public:
  CaseData(const Case& c, std::uint64_t seed);
  CaseData(const CaseData&) = delete;
  CaseData& operator=(const CaseData&) = delete;

  const Problem& problem() const { return problem_; }
  Tensors& tensors() { return tensors_; }
  const Tensors& tensors() const { return tensors_; }

  // Exactly the plan's bytes, NaN-filled and guarded.
  Workspace make_workspace(std::size_t bytes);

  // Marks the results; everything else must keep its bytes. Call before the run.
  void expect_changes_at_results();
  // One line per buffer that was changed elsewhere.
  std::vector<std::string> stray_writes() const;

 private:
  GuardedBuffer& new_buffer(std::string name, std::size_t bytes, DType dtype);
  TensorView token_tensor(std::string name, DType dtype, std::int64_t heads, std::int64_t dim);
  TensorView state_tensor(std::string name, std::int64_t slots);
  TensorView checkpoint_tensor(std::int64_t rows);
  TensorView index_tensor(std::string name, DType dtype, std::vector<std::int64_t> shape,
                          const std::vector<std::int64_t>& values);
  void add_token_tensors();
  void add_gate_parameters();
  void add_states();
  void add_checkpoints();
  void allow_state(const StatePlace& place);
  void allow(const void* address, std::size_t count);

  const Case case_;
  const Problem problem_;
  const std::uint64_t seed_;
  Tensors tensors_;
  std::deque<GuardedBuffer> buffers_;
};

// Draw `index` of stream `stream`: uniform in (0, 1), and a sum of four uniforms scaled to variance
// 1 (within +-3.5). A function of its arguments only, without libm, so equal on every machine.
double uniform(std::uint64_t seed, std::uint64_t stream, std::uint64_t index);
double normal(std::uint64_t seed, std::uint64_t stream, std::uint64_t index);

}  // namespace flash_kda::verification
