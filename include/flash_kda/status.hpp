// Errors are values. The library never throws across its C ABI, never prints, never aborts.
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <utility>

#include "flash_kda/export.h"

namespace flash_kda {

enum class StatusCode {
  kOk = 0,
  kInvalidArgument,  // a shape, stride, dtype, range or combination is wrong; the message names it
  kUnsupported,      // well formed, but the chosen backend cannot do it; the message says why
  kWorkspaceTooSmall,  // fewer bytes than plan.workspace_bytes, or misaligned
  kOutOfMemory,        // the plan could not be allocated (run itself allocates nothing)
  kDeviceError,        // a CUDA call or launch failed
  kInternal,           // a bug of the library
};

// "ok", "invalid argument", ...
FLASH_KDA_API const char* to_string(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // ok; holds no allocation
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  static Status invalid_argument(std::string message) {
    return {StatusCode::kInvalidArgument, std::move(message)};
  }
  static Status unsupported(std::string message) {
    return {StatusCode::kUnsupported, std::move(message)};
  }

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  // Names the argument, what was expected and what came:
  // "g: expected [B=1, T=4096, HV=32, K=128], got [1, 4096, 32, 64]".
  const std::string& message() const { return message_; }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

// A value or the status that explains its absence.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {  // NOLINT(google-explicit-constructor)
    assert(!status_.ok());
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace flash_kda
