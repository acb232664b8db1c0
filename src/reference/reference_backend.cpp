// The definition as a backend: everything that the operation allows, in fp64, on one thread. One
// (sequence, value head) at a time; every stretch of tokens runs from checkpoint to checkpoint.
#include <algorithm>

#include "core/backend.hpp"
#include "core/host_call.hpp"
#include "reference/chunkwise.hpp"
#include "reference/head_reader.hpp"
#include "reference/recurrent.hpp"
#include "reference/state_store.hpp"

namespace flash_kda {
namespace {

using namespace reference;  // NOLINT(google-build-using-namespace): this file is its front

// Of the published chunkwise implementations; any other gives the same numbers to 1e-14.
constexpr std::int64_t kChunkSize = 64;
// Keeps the workspace below 2^60 bytes whatever the caller asks for; published models use 128.
constexpr std::int64_t kMaxHeadDim = 4096;

struct Scratch {
  HeadRows rows;  // of one chunk
  Matrix o, dt_bias, delta;
  Matrix S, S_cut;  // the running state; the state at a checkpoint inside a chunk
  ChunkScratch chunk;

  Scratch(Arena& arena, std::int64_t C, std::int64_t K, std::int64_t V)
      : rows{.q = arena.matrix(C, K),
             .k = arena.matrix(C, K),
             .v = arena.matrix(C, V),
             .g_log2 = arena.matrix(C, K),
             .beta = arena.matrix(C, 1)},
        o(arena.matrix(C, V)),
        dt_bias(arena.matrix(1, K)),
        delta(arena.matrix(1, V)),
        S(arena.matrix(K, V)),
        S_cut(arena.matrix(K, V)),
        chunk(arena, C, K, V) {}
};

// One (sequence, value head): chunk by chunk, where the recurrent algorithm has chunks of one.
class HeadRun {
 public:
  HeadRun(const Plan& plan, const HostCall& call, Scratch& scratch, std::int64_t n,
          std::int64_t v_head)
      : plan_(plan),
        call_(call),
        scratch_(scratch),
        n_(n),
        v_head_(v_head),
        reader_(call, n, v_head, scratch.dt_bias),
        scale_(plan.problem.effective_scale()) {}

  void run() {
    const std::int64_t length = call_.sequence(n_).length;
    read_state(call_.initial_state(n_, v_head_), scratch_.S);
    for (std::int64_t begin = 0; begin < length; begin += plan_.config.chunk_size) {
      const std::int64_t rows = std::min<std::int64_t>(plan_.config.chunk_size, length - begin);
      run_chunk(begin, rows);
    }
    write_state(call_.final_state(n_, v_head_), scratch_.S);
  }

 private:
  void run_chunk(std::int64_t begin, std::int64_t count) {
    const HeadRows rows = scratch_.rows.slice(0, count);
    const Matrix o = scratch_.o.first_rows(count);
    reader_.read(begin, rows);
    keep_inner_checkpoints(begin, rows, o);
    advance(rows, scratch_.S, o);
    write_checkpoints(call_, n_, v_head_, begin + count, scratch_.S);
    reader_.write(begin, o);
  }

  // A checkpoint inside a chunk is the end of a run that stops there: the chunk is cut at that
  // token and computed from its own start, so that the bits equal those of the shorter run.
  void keep_inner_checkpoints(std::int64_t begin, const HeadRows& rows, Matrix o) {
    const std::int64_t end = begin + rows.q.rows;
    for (std::int64_t offset = call_.next_checkpoint(n_, begin); offset > 0 && offset < end;
         offset = call_.next_checkpoint(n_, offset)) {
      const std::int64_t count = offset - begin;
      std::copy_n(scratch_.S.data, scratch_.S.rows * scratch_.S.cols, scratch_.S_cut.data);
      advance(rows.slice(0, count), scratch_.S_cut, o.first_rows(count));
      write_checkpoints(call_, n_, v_head_, offset, scratch_.S_cut);
    }
  }

  void advance(const HeadRows& rows, Matrix S, Matrix o) {
    if (plan_.config.algorithm == Algorithm::kRecurrent) {
      recurrent(rows, scale_, S, scratch_.delta, o);
    } else {
      process_chunk(rows, scale_, scratch_.chunk, S, o);
    }
  }

  const Plan& plan_;
  const HostCall& call_;
  Scratch& scratch_;
  std::int64_t n_;
  std::int64_t v_head_;
  HeadReader reader_;
  double scale_;
};

class ReferenceBackend final : public Backend {
 public:
  BackendKind kind() const override { return BackendKind::kReference; }

  BackendInfo info() const override {
    return {.kind = BackendKind::kReference,
            .description = "fp64, token by token or in chunks, one thread: the definition",
            .available = true,
            .unavailable_reason = "",
            .targets = "fp64"};
  }

  Support supports(const Problem& problem) const override {
    if (std::max(problem.head_dim_k, problem.head_dim_v) <= kMaxHeadDim) return {true, ""};
    return {false, "head_dim_k, head_dim_v: at most 4096 here, got " +
                       std::to_string(problem.head_dim_k) + " and " +
                       std::to_string(problem.head_dim_v)};
  }

  Result<Plan> plan(const Problem& problem, const PlanOptions& options) const override {
    const bool chunked = options.algorithm == Algorithm::kChunked;
    const std::int64_t chunk_size = chunked ? kChunkSize : 1;
    Arena arena(nullptr);
    const Scratch scratch(arena, chunk_size, problem.head_dim_k, problem.head_dim_v);
    Plan plan;
    plan.problem = problem;
    plan.config = {.backend = BackendKind::kReference,
                   .target = "fp64",
                   .precision = options.precision,
                   .algorithm = chunked ? Algorithm::kChunked : Algorithm::kRecurrent,
                   .chunk_size = static_cast<int>(chunk_size),
                   .v_panel = problem.head_dim_v,
                   .work_items = problem.sequences() * problem.v_heads,
                   .threads = 1,
                   .reason = chunked ? "the chunkwise form was asked for"
                                     : "the recurrence is the definition"};
    plan.workspace_bytes = HostCall::workspace_bytes(problem) +
                           static_cast<std::size_t>(arena.used()) * sizeof(double);
    return plan;
  }

  Status run(const Plan& plan, const Tensors& tensors, Workspace workspace,
             StreamHandle) const override {
    const Problem& problem = plan.problem;
    const HostCall call(problem, tensors, workspace);
    Arena arena(reinterpret_cast<double*>(call.backend_workspace()));
    Scratch scratch(arena, plan.config.chunk_size, problem.head_dim_k, problem.head_dim_v);
    for (std::int64_t n = 0; n < call.num_sequences(); ++n) {
      for (std::int64_t v_head = 0; v_head < problem.v_heads; ++v_head) {
        HeadRun(plan, call, scratch, n, v_head).run();
      }
    }
    return {};
  }

  bool reads_host_memory() const override { return true; }
};

}  // namespace

const Backend& reference_backend() {
  static const ReferenceBackend backend;
  return backend;
}

}  // namespace flash_kda
