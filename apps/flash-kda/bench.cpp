// `flash-kda bench`: how fast, in numbers that can be compared with the machine's ceilings.

#include <fmt/format.h>

#include <algorithm>

#include "apps/common/atomic_file.hpp"
#include "apps/common/machine.hpp"
#include "apps/common/progress.hpp"
#include "apps/common/safetensors.hpp"
#include "apps/flash-kda/bench_report.hpp"
#include "apps/flash-kda/commands.hpp"
#include "apps/flash-kda/options.hpp"
#include "apps/flash-kda/shapes.hpp"

namespace flash_kda::cli {
namespace {

using apps::Json;

constexpr const char* kNotes =
    "GFLOP/s count 7*K*V flop a token and value head, whatever the algorithm does. % peak: of the\n"
    "measured fp32 FMA rate (fp32) or bf16 dot rate (bf16) of as many threads. GB/s count q, k, "
    "v,\n"
    "g, beta, out once and the fp32 state in and out; % copy: of memcpy's bytes read plus "
    "written.\n"
    "States are carried in place. Variants of a shape take turns; medians. Every variant is first\n"
    "verified on a small call; a miss ends the run with exit code 1. On a GPU, times are those of\n"
    "its own clock, tensors in its memory: warm, 8 calls in a row as one graph; cold, one call\n"
    "after L2 has been overwritten. % copy is then of a copy within its memory.";

struct BenchOptions {
  bool list = false;
  bool peaks = true;
  std::vector<std::string> shape_names;
  ShapeOptions shape;
  std::optional<GateKind> gate;
  std::optional<BackendKind> backend;
  std::optional<Precision> precision;
  Algorithm algorithm = Algorithm::kAuto;
  PlanOptions gpu;  // cuts, multiprocessors and v_panel
  std::vector<int> threads;
  Effort effort;
  std::string compare;
  std::optional<std::string> json;  // "-": standard output

  void add_to(CLI::App& command) {
    command.footer(kNotes);
    command.add_flag("--list", list, "Only list the named shapes");
    command
        .add_option("--shape", shape_names,
                    "Named shapes, or the groups cpu, grid, all; default: cpu, or t8192-h8 "
                    "changed by the options below")
        ->delimiter(',')
        ->type_name("NAME,...");
    shape.add_to(command);
    add_choice(command, "--gate", gate, kGateChoices, "Gate of every shape");
    add_choice(command, "--backend", backend, kBackendChoices,
               "Backend; default: the fastest that supports the shape");
    add_choice(command, "--precision", precision, kPrecisionChoices, "Default: both");
    add_choice(command, "--algorithm", algorithm, kAlgorithmChoices, "Default: the plan's choice");
    add_gpu_options(command, gpu);
    command.add_option("--threads", threads, "Thread counts; default: 1 and all")
        ->delimiter(',')
        ->check(CLI::Range(1, 4096).description(""))
        ->type_name("N,...");
    command.add_option("--repeats", effort.repeats, "Rounds at least; default: 7")
        ->check(CLI::Range(1, 1000));
    command.add_option("--min-time", effort.min_seconds, "Seconds of each variant; default: 0.3")
        ->check(CLI::Range(0.0, 3600.0));
    command.add_flag("!--no-peaks", peaks, "Do not measure the machine's ceilings");
    command.add_option("--compare", compare, "Report of an earlier run to compare with")
        ->type_name("OLD.json");
    command
        .add_option_function<std::string>(
            "--json", [this](const std::string& path) { json = path.empty() ? "-" : path; },
            "Write a JSON report to FILE, or print it instead of the table")
        ->expected(0, 1)
        ->type_name("[FILE]");
  }
};

std::vector<std::int64_t> equal_lengths(std::int64_t tokens, std::int64_t sequences) {
  std::vector<std::int64_t> lengths(static_cast<std::size_t>(sequences));
  for (std::int64_t n = 0; n < sequences; ++n) {
    lengths[n] = tokens * (n + 1) / sequences - tokens * n / sequences;
  }
  return lengths;
}

Result<std::vector<NamedShape>> chosen_shapes(const BenchOptions& options) {
  std::vector<std::string> names = options.shape_names;
  if (names.empty()) names = {options.shape.any() ? "t8192-h8" : "cpu"};
  std::vector<NamedShape> shapes;
  for (const std::string& name : names) {
    const std::vector<NamedShape> found = find_shapes(name);
    if (found.empty()) {
      return Status::invalid_argument("--shape: no shape is called " + apps::in_quotes(name) +
                                      " (see bench --list)");
    }
    shapes.insert(shapes.end(), found.begin(), found.end());
  }
  for (NamedShape& shape : shapes) {
    shape.problem.gate.kind = options.gate.value_or(shape.problem.gate.kind);
    if (options.shape.any()) {
      options.shape.apply_to(shape.problem);
      shape.name = shape_name(shape.problem);
    }
    if (Status status = check_problem(shape.problem); !status.ok()) return status;
    if (options.shape.any() && shape.problem.is_varlen()) {
      shape.lengths = equal_lengths(shape.problem.tokens, shape.problem.sequences());
    }
  }
  return shapes;
}

std::vector<int> thread_counts(const BenchOptions& options) {
  std::vector<int> counts = options.threads;
  if (counts.empty()) counts = {1, apps::describe_machine().logical_cpus};
  std::ranges::sort(counts);
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  return counts;
}

std::vector<Variant> host_variants(const BenchOptions& options) {
  const bool is_reference = options.backend == BackendKind::kReference;
  std::vector<Variant> variants;
  for (const int threads : thread_counts(options)) {
    for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
      if (options.precision && *options.precision != precision) continue;
      if (is_reference && !options.precision && precision != Precision::kF32) continue;
      variants.push_back({{.backend = options.backend,
                           .precision = precision,
                           .threads = threads,
                           .algorithm = options.algorithm}});
    }
  }
  return variants;
}

// Where the GPU takes the shape, there is one arithmetic and no threads, but a cache of tens of MB.
Result<std::vector<Variant>> bench_variants(const BenchOptions& options, const Problem& problem) {
  const PlanOptions plain = {.backend = options.backend,
                             .algorithm = options.algorithm,
                             .multiprocessors = options.gpu.multiprocessors,
                             .cuts = options.gpu.cuts,
                             .v_panel = options.gpu.v_panel};
  const Result<Plan> plan = make_plan(problem, plain);
  if (!plan.ok()) return plan.status();
  if (plan->config.backend != BackendKind::kCuda) return host_variants(options);
  return std::vector<Variant>{{plain, Cache::kWarm}, {plain, Cache::kCold}};
}

ExitCode list_shapes(const BenchOptions& options) {
  Json list = Json::array();
  for (const NamedShape& shape : named_shapes()) {
    list.push_back({{"shape", shape.name},
                    {"group", shape.group == ShapeGroup::kCpu ? "cpu" : "grid"},
                    {"what", shape.what},
                    {"problem", to_string(shape.problem)}});
  }
  if (options.json) {
    fmt::print("{}", apps::dump(list));
    return ExitCode::kOk;
  }
  apps::Table table({{"shape"}, {"group"}, {"what"}, {"problem"}});
  for (const Json& row : list) {
    table.add_row({row["shape"], row["group"], row["what"], row["problem"]});
  }
  table.print();
  return ExitCode::kOk;
}

Ceilings measure_ceilings(const BenchOptions& options) {
  Ceilings ceilings;
  const bool only_gpu = options.backend == BackendKind::kCuda;
  const bool only_host = options.backend && !only_gpu;
  if (!only_gpu) {
    for (const int threads : thread_counts(options)) {
      ceilings.cpu[threads] = options.peaks ? measure_machine_peaks(threads) : std::nullopt;
    }
  }
  if (!only_host && options.peaks && backend_info(BackendKind::kCuda).available) {
    ceilings.gpu = measure_gpu();
  }
  return ceilings;
}

Result<Json> bench_report(const BenchOptions& options, const std::vector<NamedShape>& shapes) {
  Json rows = Json::array();
  apps::Progress progress("bench", static_cast<std::int64_t>(shapes.size()));
  const Ceilings ceilings = measure_ceilings(options);
  for (const NamedShape& shape : shapes) {
    const auto failed = [&](const Status& status) {
      return Status(status.code(), shape.name + ": " + status.message());
    };
    const Result<std::vector<Variant>> variants = bench_variants(options, shape.problem);
    if (!variants.ok()) return failed(variants.status());
    const Result<std::vector<Measurement>> measured = measure(shape, *variants, options.effort);
    if (!measured.ok()) return failed(measured.status());
    for (const Measurement& measurement : *measured) {
      rows.push_back(bench_row_json(shape, measurement, ceilings.of(measurement)));
    }
    progress.advance();
  }
  return Json{{"machine", bench_machine_json(ceilings)}, {"rows", rows}};
}

Status deliver(const BenchOptions& options, Json& report) {
  if (!options.compare.empty()) {
    const Result<Json> old_report = load_bench_report(options.compare);
    if (!old_report.ok()) return old_report.status();
    report["comparison"] = compare_json(report, *old_report);
  }
  if (options.json == "-") {
    fmt::print("{}", apps::dump(report));
    return {};
  }
  print_bench_rows(report);
  if (!options.compare.empty()) print_comparison(report["comparison"], options.compare);
  return options.json ? apps::write_text_file(*options.json, apps::dump(report)) : Status();
}

// What can be known to fail, before minutes of measuring.
Status check_files(const BenchOptions& options) {
  if (options.json && options.json != "-") {
    const Result<apps::AtomicFile> file = apps::AtomicFile::create(*options.json);
    if (!file.ok()) return file.status();
  }
  if (options.compare.empty()) return {};
  const Result<Json> old_report = load_bench_report(options.compare);
  return old_report.ok() ? Status() : old_report.status();
}

ExitCode run_bench(const BenchOptions& options) {
  if (options.list) return list_shapes(options);
  const Result<std::vector<NamedShape>> shapes = chosen_shapes(options);
  if (!shapes.ok()) return fail(shapes.status());
  if (Status status = check_files(options); !status.ok()) return fail(status);
  Result<Json> report = bench_report(options, *shapes);
  if (!report.ok()) {
    const ExitCode code = fail(report.status());
    return report.status().code() == StatusCode::kInternal ? ExitCode::kMiss : code;
  }
  if (Status status = deliver(options, *report); !status.ok()) return fail(status);
  return ExitCode::kOk;
}

}  // namespace

void add_bench_command(CLI::App& app, ExitCode& exit_code) {
  add_command<BenchOptions>(app, exit_code, "bench", "Measure speed", run_bench);
}

}  // namespace flash_kda::cli
