// The positional arguments of one call of Python as structs of the C ABI.
#pragma once

#include <cstddef>
#include <cstdint>

#include "flash_kda/flash_kda.h"
#include "python_api.hpp"
#include "tensor.hpp"

namespace flash_kda::python {

// 17 tensors in the order of flash_kda_tensors, q to out required, the others or None; then the
// integers gate, qk_norm, beta_form, beta_range, state_layout, checkpoint_every, backend,
// precision, threads, cuts, multiprocessors, v_panel; then lower_bound and scale (None: K ^ -0.5).
inline constexpr Py_ssize_t kNumTensors = 17;
inline constexpr Py_ssize_t kNumIntegers = 12;
inline constexpr Py_ssize_t kNumFloats = 2;
inline constexpr Py_ssize_t kNumCallArgs = kNumTensors + kNumIntegers + kNumFloats;

struct Call {
  flash_kda_problem problem;
  flash_kda_plan_options options;
  flash_kda_tensors tensors;
  BorrowedTensor borrowed[kNumTensors];
  Device device;

  Call();
  // False with a Python exception set.
  bool read(PyObject* const* args);
};

// A whole number of Python that fits an int32. False with a Python exception set.
bool read_int32(const char* name, PyObject* object, std::int32_t& out);

}  // namespace flash_kda::python
