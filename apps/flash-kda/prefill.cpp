// `flash-kda prefill`: one call of the library, from file to file.

#include <fmt/format.h>

#include "apps/common/dtype_names.hpp"
#include "apps/common/progress.hpp"
#include "apps/common/table.hpp"
#include "apps/common/timing.hpp"
#include "apps/flash-kda/commands.hpp"
#include "apps/flash-kda/options.hpp"
#include "apps/flash-kda/tensor_file.hpp"

namespace flash_kda::cli {
namespace {

using apps::Json;

struct PrefillOptions {
  std::string input, output;
  bool json = false;
  PlanOptions plan;
  OperationOptions operation;

  void add_to(CLI::App& command) {
    command
        .add_option("input", input,
                    "Safetensors file with q, k, v, g, beta and, where wanted, A_log, dt_bias, "
                    "initial_state, cu_seqlens")
        ->required()
        ->type_name("IN");
    command
        .add_option("-o,--output", output,
                    "Safetensors file to write: out, final_state, checkpoints")
        ->required()
        ->type_name("OUT");
    command.add_flag("--json", json, "Print JSON");
    add_plan_options(command, plan);
    operation.add_to(command);
  }
};

Json tensors_json(const Results& results) {
  Json list = Json::array();
  for (const apps::NamedTensor& tensor : results.named) {
    const TensorView& view = tensor.view;
    list.push_back({{"name", tensor.name},
                    {"dtype", apps::safetensors_name(view.dtype)},
                    {"shape", std::vector(view.shape.begin(), view.shape.begin() + view.rank)}});
  }
  return list;
}

Json summary(const PrefillOptions& options, const TensorFile& input, const Results& results,
             const Plan& plan, double seconds) {
  std::int64_t tokens = 0;
  for (const std::int64_t length : input.lengths) tokens += length;
  return {{"input", options.input},
          {"output", options.output},
          {"problem", to_string(plan.problem)},
          {"plan", to_string(plan.config)},
          {"workspace_bytes", plan.workspace_bytes},
          {"tokens", tokens},
          {"milliseconds", seconds * 1e3},
          {"tokens_per_second", seconds > 0 ? static_cast<double>(tokens) / seconds : 0.0},
          {"tensors", tensors_json(results)},
          {"unused_tensors", input.unused}};
}

void print_summary(const Json& json) {
  fmt::print("{}\n{}\n", json["problem"].get<std::string>(), json["plan"].get<std::string>());
  fmt::print("{} tokens in {:.2f} ms, {:.0f} tokens/s, workspace {} bytes\n",
             json["tokens"].get<std::int64_t>(), json["milliseconds"].get<double>(),
             json["tokens_per_second"].get<double>(), json["workspace_bytes"].get<std::int64_t>());
  apps::Table table({{json["output"].get<std::string>()}, {"dtype"}, {"shape"}});
  for (const Json& tensor : json["tensors"]) {
    table.add_row({tensor["name"], tensor["dtype"], apps::cell(tensor["shape"])});
  }
  table.print();
}

ExitCode run_prefill(const PrefillOptions& options) {
  // Before any work: whether there will be a place for the result.
  Result<apps::AtomicFile> output = apps::AtomicFile::create(options.output);
  if (!output.ok()) return fail(output.status());
  Result<TensorFile> input = open_tensor_file(options.input, options.operation);
  if (!input.ok()) return fail(input.status());
  for (const std::string& name : input->unused) {
    fmt::print(stderr, "flash-kda: {}: warning: tensor {} is not used\n", options.input,
               apps::in_quotes(name));
  }
  const Result<Plan> plan = make_plan(input->problem, options.plan);
  if (!plan.ok()) return fail(plan.status());
  const Results results = add_results(*input);

  apps::Stopwatch watch;
  {
    const apps::Progress progress("prefill", 0);
    if (Status status = run_once(*plan, input->tensors); !status.ok()) {
      return fail(Status(status.code(), options.input + ": " + status.message()));
    }
  }
  const double seconds = watch.seconds();

  const apps::Metadata metadata{{"producer", std::string("flash-kda ") + version()},
                                {"problem", to_string(plan->problem)},
                                {"plan", to_string(plan->config)}};
  if (Status status = apps::write_safetensors(*output, results.named, metadata); !status.ok()) {
    return fail(status);
  }
  if (Status status = output->commit(); !status.ok()) return fail(status);

  const Json json = summary(options, *input, results, *plan, seconds);
  if (options.json) {
    fmt::print("{}", apps::dump(json));
  } else {
    print_summary(json);
  }
  return ExitCode::kOk;
}

}  // namespace

void add_prefill_command(CLI::App& app, ExitCode& exit_code) {
  add_command<PrefillOptions>(app, exit_code, "prefill", "Run the operation on a safetensors file",
                              run_prefill);
}

}  // namespace flash_kda::cli
