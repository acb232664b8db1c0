// `flash-kda info`: what this build and this machine can do, and the plan that a shape gets.

#include <fmt/format.h>

#include <cstdlib>

#include "apps/common/machine.hpp"
#include "apps/common/table.hpp"
#include "apps/flash-kda/commands.hpp"
#include "apps/flash-kda/options.hpp"

namespace flash_kda::cli {
namespace {

using apps::Json;

struct InfoOptions {
  bool json = false;
  PlanOptions plan;
  OperationOptions operation;
  ShapeOptions shape;

  void add_to(CLI::App& command) {
    command.add_flag("--json", json, "Print JSON");
    add_plan_options(command, plan);
    shape.add_to(command);
    operation.add_to(command);
  }
};

// The shape that the feature table varies, and whose plan is shown unless options change it.
Problem default_problem() {
  Problem problem;
  problem.tokens = 8192;
  problem.qk_heads = problem.v_heads = 8;
  problem.head_dim_k = problem.head_dim_v = 128;
  return problem;
}

struct Feature {
  const char* name;
  void (*apply)(Problem& problem);
};

// One change each to the default problem; what a backend answers is its support table.
constexpr Feature kFeatures[] = {
    {"K = V = 128, bf16, fixed length", [](Problem&) {}},
    {"K = V = 64", [](Problem& p) { p.head_dim_k = p.head_dim_v = 64; }},
    {"K = V = 256", [](Problem& p) { p.head_dim_k = p.head_dim_v = 256; }},
    {"K = 128, V = 256", [](Problem& p) { p.head_dim_v = 256; }},
    {"K = V = 96", [](Problem& p) { p.head_dim_k = p.head_dim_v = 96; }},
    {"q, k, v, out in fp16", [](Problem& p) { p.qkv_dtype = p.out_dtype = DType::kF16; }},
    {"q, k, v, out in fp32", [](Problem& p) { p.qkv_dtype = p.out_dtype = DType::kF32; }},
    {"g, beta in fp32", [](Problem& p) { p.gate_dtype = p.beta_dtype = DType::kF32; }},
    {"value heads 2 H (GVA)", [](Problem& p) { p.v_heads *= 2; }},
    {"packed sequences (cu_seqlens)", [](Problem& p) { p.num_sequences = 4; }},
    {"one token (decode)", [](Problem& p) { p.tokens = 1; }},
    {"gate lower-bound", [](Problem& p) { p.gate.kind = GateKind::kLowerBound; }},
    {"gate softplus", [](Problem& p) { p.gate.kind = GateKind::kSoftplus; }},
    {"gate log", [](Problem& p) { p.gate.kind = GateKind::kLog; }},
    {"q, k as given (no L2 norm)", [](Problem& p) { p.qk_norm = QkNorm::kNone; }},
    {"beta activated", [](Problem& p) { p.beta_form = BetaForm::kActivated; }},
    {"beta doubled", [](Problem& p) { p.beta_range = BetaRange::kDoubled; }},
    {"state bf16", [](Problem& p) { p.state.dtype = DType::kBF16; }},
    {"state [K, V]", [](Problem& p) { p.state.layout = StateLayout::kKV; }},
    {"state pool",
     [](Problem& p) {
       p.state.storage = StateStorage::kPool;
       p.state.pool_slots = 16;
     }},
    {"checkpoints every 64 tokens",
     [](Problem& p) {
       p.checkpoints.kind = CheckpointKind::kEvery;
       p.checkpoints.every = 64;
     }},
    {"checkpoints every token",
     [](Problem& p) {
       p.checkpoints.kind = CheckpointKind::kEvery;
       p.checkpoints.every = 1;
     }},
    {"checkpoints at listed offsets",
     [](Problem& p) {
       p.checkpoints.kind = CheckpointKind::kOffsets;
       p.checkpoints.max_offsets = 2;
     }},
    {"checkpoints to a pool",
     [](Problem& p) {
       p.checkpoints.kind = CheckpointKind::kEvery;
       p.checkpoints.every = 64;
       p.checkpoints.destination = StateStorage::kPool;
       p.checkpoints.pool_slots = 256;
     }},
};

Json environment_json() {
  Json environment = Json::object();
  for (const char* name : {"FLASH_KDA_BACKEND", "FLASH_KDA_CPU_TARGET"}) {
    const char* value = std::getenv(name);
    environment[name] = value ? Json(value) : Json(nullptr);
  }
  return environment;
}

Json backends_json() {
  Json list = Json::array();
  for (const BackendKind kind : backends()) {
    const BackendInfo info = backend_info(kind);
    list.push_back({{"name", word_of(kind)},
                    {"description", info.description},
                    {"available", info.available},
                    {"unavailable_reason", info.unavailable_reason},
                    {"targets", info.targets}});
  }
  return list;
}

Json features_json() {
  Json list = Json::array();
  for (const Feature& feature : kFeatures) {
    Problem problem = default_problem();
    feature.apply(problem);
    Json row = {{"feature", feature.name}};
    for (const BackendKind kind : backends()) {
      const Support support = supports(problem, kind);
      row[word_of(kind)] = support.supported ? "yes" : "no: " + support.reason;
    }
    list.push_back(row);
  }
  return list;
}

const char* describe(Unproven unproven) {
  switch (unproven) {
    case Unproven::kWait:
      return "wait";
    case Unproven::kTwoKernels:
      return "two kernels";
    case Unproven::kSplit:
      return "split";
    case Unproven::kSegments:
      return "segments";
  }
  return "unknown";
}

Json plan_json(const Problem& problem, const PlanOptions& options) {
  Json json = {{"problem", to_string(problem)}};
  const Result<Plan> plan = make_plan(problem, options);
  if (!plan.ok()) {
    json["error"] = plan.status().message();
    return json;
  }
  const Config& config = plan->config;
  json["backend"] = word_of(config.backend);
  json["target"] = config.target;
  json["precision"] = word_of(config.precision);
  json["algorithm"] = to_string(config.algorithm);
  json["chunk_size"] = config.chunk_size;
  json["v_panel"] = config.v_panel;
  json["work_items"] = config.work_items;
  if (config.segment_tokens > 0) json["segment_tokens"] = config.segment_tokens;
  if (config.algorithm == Algorithm::kFused) {
    json["multiprocessors"] = config.multiprocessors;
    json["warm_up_tokens"] = config.warm_up_tokens;
    json["unproven"] = describe(config.unproven);
  }
  json["threads"] = config.threads;
  json["multiprocessors"] = config.multiprocessors;
  json["warm_up_tokens"] = config.warm_up_tokens;
  json["workspace_bytes"] = plan->workspace_bytes;
  json["reason"] = config.reason;
  return json;
}

Json info_json(const Problem& problem, const PlanOptions& options) {
  const apps::Machine machine = apps::describe_machine();
  return {{"version", version()},
          {"compiler", apps::compiler_name()},
          {"machine",
           {{"cpu", machine.cpu},
            {"logical_cpus", machine.logical_cpus},
            {"flags", machine.flags},
            {"memory_gib", machine.memory_gib}}},
          {"environment", environment_json()},
          {"backends", backends_json()},
          {"features", features_json()},
          {"plan", plan_json(problem, options)}};
}

std::string joined(const Json& words) {
  std::string text;
  for (const Json& word : words) text += (text.empty() ? "" : " ") + word.get<std::string>();
  return text;
}

void print_backends(const Json& info) {
  apps::Table table({{"backend"}, {"available"}, {"targets"}, {"description"}});
  for (const Json& backend : info["backends"]) {
    const bool available = backend["available"];
    table.add_row({backend["name"],
                   available ? "yes" : "no: " + backend["unavailable_reason"].get<std::string>(),
                   backend["targets"], backend["description"]});
  }
  table.print();
}

void print_features(const Json& info) {
  std::vector<apps::Column> columns{{"supported"}};
  for (const Json& backend : info["backends"]) columns.push_back({backend["name"]});
  apps::Table table(columns);
  for (const Json& feature : info["features"]) {
    std::vector<std::string> row;
    for (const auto& [key, value] : feature.items()) row.push_back(value);
    table.add_row(row);
  }
  table.print();
}

void print_info(const Json& info) {
  const Json& machine = info["machine"];
  fmt::print("flash-kda {} ({})\n", info["version"].get<std::string>(),
             info["compiler"].get<std::string>());
  fmt::print("{}, {} logical CPUs, {:.0f} GiB, {}\n", machine["cpu"].get<std::string>(),
             machine["logical_cpus"].get<int>(), machine["memory_gib"].get<double>(),
             joined(machine["flags"]));
  for (const auto& [name, value] : info["environment"].items()) {
    if (!value.is_null()) fmt::print("{}={}\n", name, value.get<std::string>());
  }
  fmt::print("\n");
  print_backends(info);
  fmt::print("\n");
  print_features(info);
  fmt::print("\nplan for {}\n", info["plan"]["problem"].get<std::string>());
  for (const auto& [name, value] : info["plan"].items()) {
    if (name != "problem") fmt::print("  {:<16} {}\n", name, apps::cell(value));
  }
}

ExitCode run_info(const InfoOptions& options) {
  Problem problem = options.operation.problem;
  const Problem defaults = default_problem();
  problem.tokens = defaults.tokens;
  problem.qk_heads = problem.v_heads = defaults.qk_heads;
  problem.head_dim_k = problem.head_dim_v = defaults.head_dim_k;
  problem.state.dtype = options.operation.state_dtype.value_or(problem.state.dtype);
  options.shape.apply_to(problem);
  if (Status status = check_problem(problem); !status.ok()) return fail(status);

  const Json info = info_json(problem, options.plan);
  if (options.json) {
    fmt::print("{}", apps::dump(info));
  } else {
    print_info(info);
  }
  return ExitCode::kOk;
}

}  // namespace

void add_info_command(CLI::App& app, ExitCode& exit_code) {
  add_command<InfoOptions>(app, exit_code, "info",
                           "Show version, machine, backends, and the plan that a shape gets",
                           run_info);
}

}  // namespace flash_kda::cli
