// The fast CPU backend: what it supports, how it plans, and the loop over work items.
#include <algorithm>
#include <atomic>
#include <new>
#include <string>

#include "core/backend.hpp"
#include "core/host_call.hpp"
#include "cpu/run_item.hpp"
#include "cpu/target.hpp"
#include "cpu/thread_pool.hpp"

namespace flash_kda::cpu {
namespace {

constexpr std::size_t kAlignment = Plan::kWorkspaceAlignment;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// The recurrent kernel takes about 1.3 times as long a token as the fp32 chunked one, but a partial
// chunk costs as much as a full one and the chunked form transposes the state at both ends.
constexpr std::int64_t kShortSequence = 12;

struct AlgorithmChoice {
  Algorithm algorithm;
  const char* reason;
};

AlgorithmChoice choose_algorithm(const Problem& problem, const PlanOptions& options) {
  if (options.algorithm != Algorithm::kAuto)
    return {options.algorithm, "the algorithm was asked for"};
  const std::int64_t sequences = std::max<std::int64_t>(problem.sequences(), 1);
  const std::int64_t total = problem.is_varlen() ? problem.tokens : problem.tokens * sequences;
  if (total <= kShortSequence * sequences) {
    return {Algorithm::kRecurrent, "sequences of 12 tokens or fewer do not fill a chunk of 16"};
  }
  // A checkpoint inside a chunk runs the chunk's start twice: with one every 48 tokens that costs
  // as much as the recurrent form does.
  const CheckpointSpec& checkpoints = problem.checkpoints;
  if (checkpoints.kind == CheckpointKind::kEvery && checkpoints.every < 3 * kChunkSize &&
      checkpoints.every % kChunkSize != 0) {
    return {Algorithm::kRecurrent, "checkpoints fall inside most chunks"};
  }
  return {Algorithm::kChunked, "chunks of 16 tokens turn the work into small matrix products"};
}

struct Choice {
  const Kernels* kernels = nullptr;
  WorkSplit split;
};

// From the plan back to what it stands for: the same for plan and run.
Choice choice_of(const Problem& problem, const Config& config, Target target) {
  return {.kernels = kernels_for(target),
          .split = choose_split(problem, config.algorithm, config.threads)};
}

// "AVX3+BF16" and the like, as Config.target prints it.
Target target_of(const Config& config) {
  for (int i = 0; i < kNumTargets; ++i) {
    if (config.target == to_string(static_cast<Target>(i))) return static_cast<Target>(i);
  }
  return Target::kAvx2;
}

std::string reason_of(const AlgorithmChoice& algorithm, const Config& config,
                      const WorkSplit& split) {
  std::string reason = algorithm.reason;
  reason += "; " + std::to_string(split.heads_per_item) + " heads and " +
            std::to_string(split.v_columns) + " value columns a work item";
  if (config.precision == Precision::kBF16 && config.algorithm == Algorithm::kRecurrent) {
    reason += "; the recurrent form computes in fp32 in either precision";
  } else if (config.precision == Precision::kBF16 &&
             config.target != to_string(Target::kAvx3Bf16)) {
    reason += "; no bf16 dot products on " + config.target + ", so products are fp32";
  }
  return reason;
}

// One call, shared by the threads that work on it.
struct Job {
  const HostCall& call;
  const Kernels& kernels;
  const WorkSplit& split;
  Algorithm algorithm;
  std::byte* memory;
  std::size_t bytes_per_thread;
  SharedItem* shared;  // one a thread
  int team;
  std::atomic<std::int64_t> next{0};
};

void work_on(void* context, int worker) {
  Job& job = *static_cast<Job*>(context);
  const ItemContext item_context{
      job.call, job.kernels, job.split,
      job.memory + job.bytes_per_thread * static_cast<std::size_t>(worker)};
  SharedItem& own = job.shared[worker];
  for (;;) {
    // acq_rel: who sees that no item is left also sees that earlier items were closed.
    const std::int64_t index = job.next.fetch_add(1, std::memory_order_acq_rel);
    if (index >= job.split.items) break;
    const WorkItem item = work_item(job.call.problem(), job.split, index);
    if (job.algorithm == Algorithm::kChunked) {
      run_chunked_item(item_context, item, own);
      own.close();
    } else {
      run_recurrent_item(item_context, item);
    }
  }
  for (int i = 1; i < job.team; ++i) {
    SharedItem& other = job.shared[(worker + i) % job.team];
    if (other.is_open()) help_chunked_item(item_context, other);
  }
}

class CpuBackend final : public Backend {
 public:
  BackendKind kind() const override { return BackendKind::kCpu; }

  BackendInfo info() const override {
    const std::string targets = available_targets();
    return {.kind = BackendKind::kCpu,
            .description = "fast CPU kernels: fp32, and bf16 products where the machine has them",
            .available = !targets.empty(),
            .unavailable_reason =
                targets.empty() ? "this machine has neither AVX2 with FMA nor NEON" : "",
            .targets = targets};
  }

  Support supports(const Problem& problem) const override {
    if (problem.head_dim_k > kMaxHeadDim || problem.head_dim_v > kMaxHeadDim) {
      return {false, "head_dim_k and head_dim_v: expected at most " + std::to_string(kMaxHeadDim) +
                         ", got " + std::to_string(problem.head_dim_k) + " and " +
                         std::to_string(problem.head_dim_v)};
    }
    // A target forced by the environment may serve one precision only; a plan names that.
    const Result<Target> target = choose_target(Precision::kBF16);
    if (!target.ok()) return {false, target.status().message()};
    return {true, ""};
  }

  Result<Plan> plan(const Problem& problem, const PlanOptions& options) const override {
    const Result<Target> target = choose_target(options.precision);
    if (!target.ok()) return target.status();
    const AlgorithmChoice algorithm = choose_algorithm(problem, options);
    Plan plan;
    plan.problem = problem;
    Config& config = plan.config;
    config.backend = BackendKind::kCpu;
    config.target = to_string(*target);
    config.precision = options.precision;
    config.algorithm = algorithm.algorithm;
    config.chunk_size = algorithm.algorithm == Algorithm::kChunked ? kChunkSize : 1;
    config.threads = options.threads > 0 ? options.threads : available_threads();
    const Choice choice = choice_of(problem, config, *target);
    config.v_panel = choice.split.v_columns;
    config.work_items = choice.split.items;
    config.reason = reason_of(algorithm, config, choice.split);
    const std::size_t per_thread =
        thread_bytes(problem, choice.split, config.algorithm, choice.kernels->operand_bytes);
    const auto team = static_cast<std::size_t>(team_size(config));
    plan.workspace_bytes =
        aligned(HostCall::workspace_bytes(problem)) + (sizeof(SharedItem) + per_thread) * team;
    return plan;
  }

  Status run(const Plan& plan, const Tensors& tensors, Workspace workspace,
             StreamHandle) const override {
    const HostCall call(plan.problem, tensors, workspace);
    const Config& config = plan.config;
    const Choice choice = choice_of(plan.problem, config, target_of(config));
    const std::size_t per_thread =
        thread_bytes(plan.problem, choice.split, config.algorithm, choice.kernels->operand_bytes);
    const int team = team_size(config);
    std::byte* memory = call.backend_workspace();
    auto* shared = reinterpret_cast<SharedItem*>(memory);
    for (int i = 0; i < team; ++i) new (shared + i) SharedItem;
    Job job{.call = call,
            .kernels = *choice.kernels,
            .split = choice.split,
            .algorithm = config.algorithm,
            .memory = memory + sizeof(SharedItem) * static_cast<std::size_t>(team),
            .bytes_per_thread = per_thread,
            .shared = shared,
            .team = team};
    ThreadPool::instance().run(team, work_on, &job);
    return {};
  }

  bool reads_host_memory() const override { return true; }

 private:
  static int team_size(const Config& config) {
    return static_cast<int>(
        std::clamp<std::int64_t>(config.work_items, 1, std::max(config.threads, 1)));
  }
};

}  // namespace
}  // namespace flash_kda::cpu

namespace flash_kda {

const Backend& cpu_backend() {
  static const cpu::CpuBackend backend;
  return backend;
}

}  // namespace flash_kda
