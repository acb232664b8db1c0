// `flash-kda generate`: a model reads a document and goes on writing.

#include "apps/lm/generate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "apps/common/progress.hpp"
#include "apps/flash-kda/commands.hpp"
#include "apps/flash-kda/lm_options.hpp"

namespace flash_kda::cli {
namespace {

using apps::Json;

// Of the prompt, printed before what the model writes, so that a person sees the seam.
constexpr std::size_t kShownPromptBytes = 240;

struct GenerateCommand {
  LmOptions lm;
  lm::SessionOptions session;
  std::int64_t tokens = 256;
  lm::SamplingOptions sampling;

  void add_to(CLI::App& command) {
    lm.add_to(command);
    command.add_option("--tokens", tokens, "Bytes to write; default: 256")
        ->check(CLI::Range(0, 1 << 20));
    add_session_options(command, session);
    command
        .add_option("--temperature", sampling.temperature,
                    "Of sampling; default: 0, the likeliest byte each time")
        ->check(CLI::Range(0.0, 100.0));
    command
        .add_option("--top-k", sampling.top_k, "Sample from the k likeliest bytes; default: all")
        ->check(CLI::Range(1, 256));
    command.add_option("--seed", sampling.seed, "Of sampling; default: 1");
  }
};

void print_prompt_end(const std::string& prompt) {
  std::size_t first = prompt.size() - std::min(prompt.size(), kShownPromptBytes);
  // From the start of a line, where one begins in the part shown.
  const std::size_t line = prompt.find('\n', first);
  if (first > 0 && line != std::string::npos && line + 1 < prompt.size()) first = line + 1;
  fmt::print("--- the prompt ends:\n{}\n--- the model goes on:\n", prompt.substr(first));
  std::fflush(stdout);
}

void print_timing(const char* what, const Json& timing) {
  fmt::print("{}: {} tokens in {:.2f} s, {:.0f} tokens/s, {:.0f} % of the time in KDA\n", what,
             timing["tokens"].get<std::int64_t>(), timing["seconds"].get<double>(),
             timing["tokens_per_second"].get<double>(), 100 * timing["kda_share"].get<double>());
}

void write_byte(std::uint8_t byte) {
  std::fputc(byte, stdout);
  std::fflush(stdout);
}

ExitCode run_generate(const GenerateCommand& command) {
  const Result<LmInput> input = open_lm_input(command.lm);
  if (!input.ok()) return fail(input.status());
  lm::Session session(input->weights, command.session);
  const Result<Config> config = session.plan_config(command.session.chunk_tokens);
  if (!config.ok()) return fail(config.status());

  const auto prompt_tokens = static_cast<std::int64_t>(input->document.size() + 1);
  std::optional<apps::Progress> progress;
  progress.emplace("prompt", prompt_tokens);
  std::int64_t tokens_read = 0;
  lm::GenerateOptions options{.tokens = command.tokens, .sampling = command.sampling};
  options.on_read = [&](std::int64_t tokens) {
    progress->advance(tokens);
    tokens_read += tokens;
    if (tokens_read < prompt_tokens) return;
    progress.reset();  // before the first byte is printed
    if (!command.lm.json) print_prompt_end(input->document);
  };
  if (!command.lm.json) options.on_byte = write_byte;
  const Result<lm::Generation> generation = lm::generate(session, input->document, options);
  if (!generation.ok()) return fail(generation.status());

  const Json json = {{"model", command.lm.model},
                     {"plan", to_string(*config)},
                     {"prompt", timing_json(generation->prompt)},
                     {"decode", timing_json(generation->decode)},
                     {"text", generation->text}};
  if (command.lm.json) {
    fmt::print("{}", apps::dump(json));
    return ExitCode::kOk;
  }
  fmt::print("\n---\n{}\n", json["plan"].get<std::string>());
  print_timing("prompt", json["prompt"]);
  print_timing("decode", json["decode"]);
  return ExitCode::kOk;
}

}  // namespace

void add_generate_command(CLI::App& app, ExitCode& exit_code) {
  add_command<GenerateCommand>(app, exit_code, "generate",
                               "Let a KDA language model read a document and go on writing",
                               run_generate);
}

}  // namespace flash_kda::cli
