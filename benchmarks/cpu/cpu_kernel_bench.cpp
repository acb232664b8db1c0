// Speed of the CPU backend against this core's own peaks. Every run is paired with a sample of the
// peaks taken just before it, so that a machine whose speed drifts changes both alike; the median
// of those ratios is what to quote. With several threads, one thread runs in the same rounds.
//
//   cpu_kernel_bench [--tokens T] [--heads H] [--dim D] [--rounds N] [--threads N] [--gate 0|1|2]
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "flash_kda/flash_kda.hpp"
#include "peaks.hpp"

namespace {

using namespace flash_kda;

struct Options {
  std::int64_t tokens = 8192;
  std::int64_t heads = 8;
  std::int64_t dim = 128;
  int rounds = 15;
  int threads = 1;
  int gate = 0;
};

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const long value = std::atol(argv[i + 1]);
    if (name == "--tokens") o.tokens = value;
    if (name == "--heads") o.heads = value;
    if (name == "--dim") o.dim = value;
    if (name == "--rounds") o.rounds = static_cast<int>(value);
    if (name == "--threads") o.threads = static_cast<int>(value);
    if (name == "--gate") o.gate = static_cast<int>(value);
  }
  return o;
}

std::vector<std::uint16_t> random_bf16(std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<std::uint16_t> values(count);
  for (std::uint16_t& value : values) {
    const float x = normal(generator);
    std::uint32_t bits;
    std::memcpy(&bits, &x, sizeof(bits));
    value = static_cast<std::uint16_t>(bits >> 16);
  }
  return values;
}

struct Data {
  std::vector<std::uint16_t> q, k, v, g, beta, out;
  std::vector<float> initial, final, a_log, dt_bias;
  Tensors tensors;

  explicit Data(const Problem& p) {
    const auto rows = static_cast<std::size_t>(p.tokens * p.v_heads);
    const auto wide = rows * static_cast<std::size_t>(p.head_dim_k);
    q = random_bf16(wide, 1);
    k = random_bf16(wide, 2);
    v = random_bf16(wide, 3);
    g = random_bf16(wide, 4);
    beta = random_bf16(rows, 5);
    out.resize(wide);
    const auto state = static_cast<std::size_t>(p.v_heads * p.head_dim_k * p.head_dim_v);
    initial.assign(state, 0.1f);
    final.resize(state);
    a_log.assign(static_cast<std::size_t>(p.v_heads), 0.5f);
    dt_bias.assign(static_cast<std::size_t>(p.v_heads * p.head_dim_k), 0.5f);
    const auto tensor = [&](std::vector<std::uint16_t>& data) {
      return TensorView::contiguous(data.data(), DType::kBF16,
                                    {1, p.tokens, p.v_heads, p.head_dim_k});
    };
    tensors.q = tensor(q);
    tensors.k = tensor(k);
    tensors.v = tensor(v);
    tensors.g = tensor(g);
    tensors.out = tensor(out);
    tensors.beta = TensorView::contiguous(beta.data(), DType::kBF16, {1, p.tokens, p.v_heads});
    tensors.A_log = TensorView::contiguous(a_log.data(), DType::kF32, {p.v_heads});
    tensors.dt_bias =
        TensorView::contiguous(dt_bias.data(), DType::kF32, {p.v_heads, p.head_dim_k});
    tensors.initial_state = TensorView::contiguous(initial.data(), DType::kF32,
                                                   {1, p.v_heads, p.head_dim_v, p.head_dim_k});
    tensors.final_state = TensorView::contiguous(final.data(), DType::kF32,
                                                 {1, p.v_heads, p.head_dim_v, p.head_dim_k});
  }
};

struct Variant {
  const char* name;
  Precision precision;
  Algorithm algorithm;
  Plan plan;
  Plan one_thread;
  std::vector<double> seconds;
  std::vector<double> of_peak;             // each run's speed over the peak sampled just before it
  std::vector<double> one_thread_seconds;  // wall time, when the plan has more threads
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Time {
  double wall;
  double cpu;  // of the calling thread
};

Time time_run(const Plan& plan, const Data& data, std::byte* memory) {
  const auto start = std::chrono::steady_clock::now();
  const double cpu_start = benchmarks::thread_cpu_seconds();
  const Status status = run(plan, data.tensors, {memory, plan.workspace_bytes});
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.message().c_str());
    std::exit(1);
  }
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
          benchmarks::thread_cpu_seconds() - cpu_start};
}

// One thread is timed by its CPU time, which neighbours on a busy machine do not lengthen. More
// threads run once before: a core that idled while the peaks were sampled takes milliseconds to
// come back on a virtual machine, and a model's layers follow each other.
double time_variant(const Variant& variant, const Data& data, std::byte* memory) {
  if (variant.plan.config.threads > 1) time_run(variant.plan, data, memory);
  const Time time = time_run(variant.plan, data, memory);
  return variant.plan.config.threads == 1 ? time.cpu : time.wall;
}

}  // namespace

int main(int argc, char** argv) {
  const Options o = parse(argc, argv);
  Problem problem;
  problem.tokens = o.tokens;
  problem.qk_heads = problem.v_heads = o.heads;
  problem.head_dim_k = problem.head_dim_v = o.dim;
  problem.gate.kind = static_cast<GateKind>(o.gate);
  const Data data(problem);
  std::vector<Variant> variants = {
      {"fp32 chunked", Precision::kF32, Algorithm::kChunked, {}, {}, {}},
      {"bf16 chunked", Precision::kBF16, Algorithm::kChunked, {}, {}, {}},
      {"fp32 recurrent", Precision::kF32, Algorithm::kRecurrent, {}, {}, {}},
  };
  std::size_t bytes = 0;
  for (Variant& variant : variants) {
    PlanOptions options{.backend = BackendKind::kCpu,
                        .precision = variant.precision,
                        .threads = o.threads,
                        .algorithm = variant.algorithm};
    const Result<Plan> plan = make_plan(problem, options);
    if (!plan.ok()) {
      std::fprintf(stderr, "%s\n", plan.status().message().c_str());
      return 1;
    }
    variant.plan = *plan;
    options.threads = 1;
    variant.one_thread = *make_plan(problem, options);
    bytes = std::max({bytes, plan->workspace_bytes, variant.one_thread.workspace_bytes});
  }
  std::byte* memory = static_cast<std::byte*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
  const double gflop = 7e-9 * static_cast<double>(o.tokens * o.heads * o.dim * o.dim);
  std::vector<double> fma, bf16;
  for (int round = 0; round < o.rounds; ++round) {
    for (Variant& variant : variants) {
      // The core's clock drifts with its neighbours' load: each run is held against the peak
      // sampled just before it.
      const benchmarks::Peaks peaks = benchmarks::sample_arithmetic_peaks();
      fma.push_back(peaks.fma_gflops);
      bf16.push_back(peaks.bf16_gflops);
      const double peak =
          variant.precision == Precision::kBF16 ? peaks.bf16_gflops : peaks.fma_gflops;
      variant.seconds.push_back(time_variant(variant, data, memory));
      variant.of_peak.push_back(gflop / variant.seconds.back() / (peak * o.threads));
      if (o.threads > 1) {
        time_run(variant.one_thread, data, memory);
        variant.one_thread_seconds.push_back(time_run(variant.one_thread, data, memory).wall);
      }
    }
  }
  std::free(memory);
  std::printf("T=%ld H=%ld D=%ld threads=%d  median peaks of a core: fma %.1f, bf16 %.1f GFLOP/s\n",
              static_cast<long>(o.tokens), static_cast<long>(o.heads), static_cast<long>(o.dim),
              o.threads, median(fma), median(bf16));
  for (const Variant& variant : variants) {
    const double best = *std::min_element(variant.seconds.begin(), variant.seconds.end());
    std::printf(
        "%-15s %-10s min %8.3f ms  median %8.3f ms  %5.1f %% of peak (median)  workspace %zu\n",
        variant.name, variant.plan.config.target.c_str(), best * 1e3, median(variant.seconds) * 1e3,
        100.0 * median(variant.of_peak), variant.plan.workspace_bytes);
    if (o.threads > 1) {
      const double one = median(variant.one_thread_seconds);
      std::printf("%-15s one thread, same rounds: median %8.3f ms, %d threads are %.2f times it\n",
                  "", one * 1e3, o.threads, one / median(variant.seconds));
    }
  }
  return 0;
}
