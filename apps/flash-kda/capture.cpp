// `flash-kda capture`: real inputs of one layer of a model, as a file for prefill and verify.

#include "apps/lm/capture.hpp"

#include <fmt/format.h>

#include "apps/common/safetensors.hpp"
#include "apps/flash-kda/commands.hpp"
#include "apps/flash-kda/lm_options.hpp"

namespace flash_kda::cli {
namespace {

struct CaptureCommand {
  LmOptions lm;
  lm::SessionOptions session;
  std::int64_t layer = 0;
  std::string output;

  void add_to(CLI::App& command) {
    lm.add_to(command);
    command.add_option("--layer", layer, "Layer, from 0; default: 0");
    command
        .add_option("-o,--output", output,
                    "Safetensors file to write: q, k, v, g, beta, A_log, dt_bias")
        ->required()
        ->type_name("FILE");
    add_session_options(command, session);
  }
};

ExitCode run_capture(const CaptureCommand& command) {
  // Before any work: whether there will be a place for the result.
  Result<apps::AtomicFile> output = apps::AtomicFile::create(command.output);
  if (!output.ok()) return fail(output.status());
  const Result<LmInput> input = open_lm_input(command.lm);
  if (!input.ok()) return fail(input.status());
  if (Status status =
          lm::capture(input->weights, command.session, input->document, command.layer, *output);
      !status.ok()) {
    return fail(status);
  }
  if (Status status = output->commit(); !status.ok()) return fail(status);

  const GateSpec& gate = input->weights->config.gate;
  const apps::Json json = {{"output", command.output},
                           {"layer", command.layer},
                           {"tokens", input->document.size() + 1},
                           {"gate", to_string(gate.kind)},
                           {"lower_bound", gate.lower_bound}};
  if (command.lm.json) {
    fmt::print("{}", apps::dump(json));
  } else {
    fmt::print("{}: layer {}, {} tokens, gate {}\n", command.output, command.layer,
               json["tokens"].get<std::int64_t>(), json["gate"].get<std::string>());
  }
  return ExitCode::kOk;
}

}  // namespace

void add_capture_command(CLI::App& app, ExitCode& exit_code) {
  add_command<CaptureCommand>(app, exit_code, "capture",
                              "Write the KDA inputs of a model's layer to a safetensors file",
                              run_capture);
}

}  // namespace flash_kda::cli
