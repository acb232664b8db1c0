// Umbrella of the C++ interface.
#pragma once

#include "flash_kda/prefill.hpp"
#include "flash_kda/problem.hpp"
#include "flash_kda/status.hpp"
#include "flash_kda/tensor_view.hpp"
#include "flash_kda/version.hpp"
