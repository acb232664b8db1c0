#include "apps/flash-kda/shapes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace flash_kda::cli {
namespace {

using Lengths = std::vector<std::int64_t>;

Problem softplus(Problem problem) {
  problem.gate.kind = GateKind::kSoftplus;
  return problem;
}

Problem with_v_heads(Problem problem, std::int64_t v_heads) {
  problem.v_heads = v_heads;
  return problem;
}

Problem with_batch(Problem problem, std::int64_t batch) {
  problem.batch = batch;
  return problem;
}

NamedShape packed(std::string name, ShapeGroup group, std::string what, std::int64_t heads,
                  Lengths lengths) {
  Problem problem =
      bench_problem(std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0}), heads, 128);
  problem.num_sequences = static_cast<std::int64_t>(lengths.size());
  return {std::move(name), group, std::move(what), problem, std::move(lengths)};
}

// The unequal lengths of the published FlashKDA benchmark; they sum to 8192.
const Lengths kMixed{1300, 547, 2048, 963, 271, 3063};

Lengths repeated(std::size_t count, std::int64_t length) { return Lengths(count, length); }

std::vector<NamedShape> cpu_shapes() {
  constexpr ShapeGroup kGroup = ShapeGroup::kCpu;
  return {
      {"t8192-h8",
       kGroup,
       "the headline: 8 heads of 128, 8192 tokens",
       bench_problem(8192, 8, 128),
       {}},
      {"t512-h8", kGroup, "short prompt", bench_problem(512, 8, 128), {}},
      {"t2048-h8", kGroup, "one serving step", bench_problem(2048, 8, 128), {}},
      {"t65536-h8",
       kGroup,
       "long prompt: time per token must stay flat",
       bench_problem(65536, 8, 128),
       {}},
      {"t8192-h1",
       kGroup,
       "one head: only V panels fill the cores",
       bench_problem(8192, 1, 128),
       {}},
      {"t8192-h2", kGroup, "two heads", bench_problem(8192, 2, 128), {}},
      {"t8192-h4-hv8",
       kGroup,
       "two value heads per key head (GVA)",
       with_v_heads(bench_problem(8192, 4, 128), 8),
       {}},
      {"t8192-h8-softplus",
       kGroup,
       "unbounded gate, as in Kimi-Linear",
       softplus(bench_problem(8192, 8, 128)),
       {}},
      {"t8192-h16-d64", kGroup, "heads of 64", bench_problem(8192, 16, 64), {}},
      {"t8192-h2-d256", kGroup, "heads of 256", bench_problem(8192, 2, 256), {}},
      packed("mixed-h8", kGroup, "six unequal sequences, 8192 tokens", 8, kMixed),
      packed("residual7-h8", kGroup, "64 sequences of 7 tokens", 8, repeated(64, 7)),
      {"decode-h32", kGroup, "one token: 2 MiB of state", bench_problem(1, 32, 128), {}},
      {"decode-h32-b32",
       kGroup,
       "one token of 32 sequences: 64 MiB of state",
       with_batch(bench_problem(1, 32, 128), 32),
       {}},
  };
}

// Heads per rank of Kimi-Linear (32), K3 (96; 12 of 8 ranks) and GLM (64; 16 of 4 ranks), packed
// the ways that FlashKDA and FlashInfer publish, long sequences, and what is left after a prefix.
std::vector<NamedShape> grid_shapes() {
  constexpr ShapeGroup kGroup = ShapeGroup::kGrid;
  std::vector<NamedShape> shapes;
  for (const std::int64_t heads : {96, 64, 32, 16, 12, 4}) {
    const std::string suffix = "-h" + std::to_string(heads);
    shapes.push_back(
        {"t8192" + suffix, kGroup, "8192 tokens", bench_problem(8192, heads, 128), {}});
  }
  for (const std::int64_t heads : {96, 12}) {
    const std::string suffix = "-h" + std::to_string(heads);
    shapes.push_back(packed("mixed" + suffix, kGroup, "six unequal sequences", heads, kMixed));
    shapes.push_back(
        packed("1024x8" + suffix, kGroup, "8 sequences of 1024", heads, repeated(8, 1024)));
  }
  shapes.push_back(packed("512x32-h12", kGroup, "32 sequences of 512", 12, repeated(32, 512)));
  shapes.push_back(packed("128x8-h12", kGroup, "8 sequences of 128", 12, repeated(8, 128)));
  shapes.push_back(packed("512x1-h12", kGroup, "one sequence of 512", 12, repeated(1, 512)));
  for (const std::int64_t tokens : {16384, 65536, 262144}) {
    shapes.push_back({"t" + std::to_string(tokens) + "-h12",
                      kGroup,
                      "one long sequence",
                      bench_problem(tokens, 12, 128),
                      {}});
  }
  for (const std::int64_t tokens : {1, 7, 63}) {
    shapes.push_back(packed("residual" + std::to_string(tokens) + "-h12", kGroup,
                            "64 short sequences", 12, repeated(64, tokens)));
  }
  return shapes;
}

}  // namespace

Problem bench_problem(std::int64_t tokens, std::int64_t heads, std::int64_t head_dim) {
  Problem problem;
  problem.tokens = tokens;
  problem.qk_heads = problem.v_heads = heads;
  problem.head_dim_k = problem.head_dim_v = head_dim;
  return problem;
}

const std::vector<NamedShape>& named_shapes() {
  static const std::vector<NamedShape> shapes = [] {
    std::vector<NamedShape> all = cpu_shapes();
    for (NamedShape& shape : grid_shapes()) all.push_back(std::move(shape));
    return all;
  }();
  return shapes;
}

std::vector<NamedShape> find_shapes(const std::string& name) {
  std::vector<NamedShape> found;
  std::ranges::copy_if(named_shapes(), std::back_inserter(found), [&](const NamedShape& shape) {
    return shape.name == name || name == "all" ||
           (name == "cpu" && shape.group == ShapeGroup::kCpu) ||
           (name == "grid" && shape.group == ShapeGroup::kGrid);
  });
  return found;
}

std::string shape_name(const Problem& p) {
  std::string name = fmt::format("t{}-h{}", p.tokens, p.qk_heads);
  if (p.v_heads != p.qk_heads) name += fmt::format("-hv{}", p.v_heads);
  if (p.head_dim_k != 128 || p.head_dim_v != 128) name += fmt::format("-d{}", p.head_dim_k);
  if (p.head_dim_v != p.head_dim_k) name += fmt::format("x{}", p.head_dim_v);
  if (p.is_varlen()) name += fmt::format("-n{}", p.sequences());
  if (p.batch != 1) name += fmt::format("-b{}", p.batch);
  return name;
}

}  // namespace flash_kda::cli
