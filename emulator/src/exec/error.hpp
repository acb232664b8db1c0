// Errors of a running kernel. Handlers throw; the launch catches, reports and maps to cudaError_t.
#pragma once

#include <exception>
#include <string>

#include "exec/kernel.hpp"

namespace emulator {

enum class FaultKind {
  kIllegalAddress,
  kMisalignedAddress,
  kIllegalInstruction,
  kTrap,
  kAssert,
  kDeadlock,
  kHardwareRule,  // misuse that hardware answers with undefined behaviour
  kInternal,
};

struct KernelFault : std::exception {
  FaultKind kind;
  std::string message;
  KernelFault(FaultKind kind, std::string message) : kind(kind), message(std::move(message)) {}
  const char* what() const noexcept override { return message.c_str(); }
};

[[noreturn, gnu::cold]] void fault(Warp& warp, const Inst& inst, FaultKind kind, const char* format,
                                   ...) __attribute__((format(printf, 4, 5)));

// Writes one finished report to stderr or to the file of EMULATOR_REPORT.
void report_line(const std::string& text);
std::string format_text(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace emulator
