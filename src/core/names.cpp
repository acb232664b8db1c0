// Printable names of every enum and value of the public interface.
#include <cmath>
#include <string>

#include "flash_kda/prefill.hpp"
#include "flash_kda/version.hpp"
#include "fmt/format.h"

namespace flash_kda {

#define FLASH_KDA_STRINGIFY_(x) #x
#define FLASH_KDA_STRINGIFY(x) FLASH_KDA_STRINGIFY_(x)

const char* version() {
  return FLASH_KDA_STRINGIFY(FLASH_KDA_VERSION_MAJOR) "." FLASH_KDA_STRINGIFY(
      FLASH_KDA_VERSION_MINOR) "." FLASH_KDA_STRINGIFY(FLASH_KDA_VERSION_PATCH);
}

const char* to_string(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return "ok";
    case StatusCode::kInvalidArgument:
      return "invalid argument";
    case StatusCode::kUnsupported:
      return "unsupported";
    case StatusCode::kWorkspaceTooSmall:
      return "workspace too small";
    case StatusCode::kOutOfMemory:
      return "out of memory";
    case StatusCode::kDeviceError:
      return "device error";
    case StatusCode::kInternal:
      return "internal error";
  }
  return "unknown status";
}

const char* to_string(GateKind kind) {
  switch (kind) {
    case GateKind::kLowerBound:
      return "lower-bound";
    case GateKind::kSoftplus:
      return "softplus";
    case GateKind::kLog:
      return "log";
  }
  return "unknown gate";
}

const char* to_string(QkNorm norm) {
  switch (norm) {
    case QkNorm::kNone:
      return "none";
    case QkNorm::kL2:
      return "l2";
  }
  return "unknown norm";
}

const char* to_string(BetaForm form) {
  switch (form) {
    case BetaForm::kLogits:
      return "logits";
    case BetaForm::kActivated:
      return "activated";
  }
  return "unknown beta form";
}

const char* to_string(BetaRange range) {
  switch (range) {
    case BetaRange::kUnit:
      return "unit";
    case BetaRange::kDoubled:
      return "doubled";
  }
  return "unknown beta range";
}

const char* to_string(StateLayout layout) {
  switch (layout) {
    case StateLayout::kVK:
      return "vk";
    case StateLayout::kKV:
      return "kv";
  }
  return "unknown layout";
}

const char* to_string(StateStorage storage) {
  switch (storage) {
    case StateStorage::kDense:
      return "dense";
    case StateStorage::kPool:
      return "pool";
  }
  return "unknown storage";
}

const char* to_string(CheckpointKind kind) {
  switch (kind) {
    case CheckpointKind::kNone:
      return "none";
    case CheckpointKind::kEvery:
      return "every";
    case CheckpointKind::kOffsets:
      return "offsets";
  }
  return "unknown checkpoint kind";
}

const char* to_string(BackendKind backend) {
  switch (backend) {
    case BackendKind::kReference:
      return "reference";
    case BackendKind::kCpu:
      return "cpu";
    case BackendKind::kCuda:
      return "cuda";
  }
  return "unknown backend";
}

const char* to_string(Precision precision) {
  switch (precision) {
    case Precision::kF32:
      return "fp32";
    case Precision::kBF16:
      return "bf16";
  }
  return "unknown precision";
}

const char* to_string(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kAuto:
      return "auto";
    case Algorithm::kRecurrent:
      return "recurrent";
    case Algorithm::kChunked:
      return "chunked";
    case Algorithm::kFused:
      return "fused";
  }
  return "unknown algorithm";
}

float Problem::effective_scale() const {
  return scale.value_or(1.0f / std::sqrt(static_cast<float>(head_dim_k)));
}

std::string to_string(const Problem& p) {
  std::string text = fmt::format("B{} T{} ", p.batch, p.tokens);
  if (p.is_varlen()) text += fmt::format("N{} ", p.sequences());
  text += fmt::format("H{} HV{} K{} V{} {}", p.qk_heads, p.v_heads, p.head_dim_k, p.head_dim_v,
                      to_string(p.qkv_dtype));
  if (p.out_dtype != p.qkv_dtype) text += fmt::format("->{}", to_string(p.out_dtype));
  text += fmt::format(" g={} {}", to_string(p.gate_dtype), to_string(p.gate.kind));
  if (p.gate.kind == GateKind::kLowerBound) text += fmt::format("({})", p.gate.lower_bound);
  text += fmt::format(" norm={} beta={} {}", to_string(p.qk_norm), to_string(p.beta_dtype),
                      to_string(p.beta_form));
  if (p.beta_range == BetaRange::kDoubled) text += " doubled";
  text += fmt::format(" state={} {} {}", to_string(p.state.storage), to_string(p.state.dtype),
                      to_string(p.state.layout));
  if (p.checkpoints.kind == CheckpointKind::kEvery) {
    text += fmt::format(" checkpoints=every {}", p.checkpoints.every);
  } else if (p.checkpoints.kind == CheckpointKind::kOffsets) {
    text += fmt::format(" checkpoints={} offsets", p.checkpoints.max_offsets);
  }
  return text;
}

std::string to_string(const Config& config) {
  std::string text = fmt::format("{} {} {} {}", to_string(config.backend), config.target,
                                 to_string(config.precision), to_string(config.algorithm));
  if (config.chunk_size > 1) text += fmt::format(" C{}", config.chunk_size);
  if (config.multiprocessors > 0) text += fmt::format(" SMs={}", config.multiprocessors);
  if (config.unproven == Unproven::kTwoKernels) text += " unproven=two-kernel";
  if (config.unproven == Unproven::kSplit) text += " unproven=split";
  if (config.unproven == Unproven::kSegments) text += " unproven=segments";
  if (config.warm_up_tokens > 0) text += fmt::format(" warm-up={}", config.warm_up_tokens);
  return text + fmt::format(" v_panel={} work_items={} threads={}: {}", config.v_panel,
                            config.work_items, config.threads, config.reason);
}

}  // namespace flash_kda
