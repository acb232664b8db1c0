// Options that several subcommands share, and what they say in terms of the library.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "flash_kda/flash_kda.hpp"

namespace flash_kda::cli {

template <typename T>
using Choices = std::vector<std::pair<std::string, T>>;

extern const Choices<BackendKind> kBackendChoices;  // reference, cpu, cuda
extern const Choices<Precision> kPrecisionChoices;
extern const Choices<Algorithm> kAlgorithmChoices;
extern const Choices<Cuts> kCutsChoices;         // auto, exact
extern const Choices<GateKind> kGateChoices;     // lower-bound, softplus, log
extern const Choices<DType> kFloatChoices;       // fp32, bf16, fp16
extern const Choices<DType> kStateDTypeChoices;  // fp32, bf16

// An option that takes one of a few words. T is the enum or an optional of it.
template <typename T, typename Value>
CLI::Option* add_choice(CLI::App& command, const std::string& name, T& target,
                        const Choices<Value>& choices, const std::string& description) {
  std::vector<std::string> words;
  std::string shown;
  for (const auto& [word, value] : choices) {
    words.push_back(word);
    shown += (shown.empty() ? "" : "|") + word;
  }
  const auto assign = [&target, choices](const std::string& chosen) {
    for (const auto& [word, value] : choices) {
      if (word == chosen) target = value;
    }
  };
  return command.add_option_function<std::string>(name, assign, description)
      ->check(CLI::IsMember(words).description(""))  // the words stand in the type name
      ->type_name(shown);
}

// --backend, --precision, --threads, and the next three.
void add_plan_options(CLI::App& command, PlanOptions& options);
// --cuts, --multiprocessors, --v-panel.
void add_gpu_options(CLI::App& command, PlanOptions& options);

// --gate, --lower-bound, --scale, --qk-l2norm, --beta, --neg-eigval, --state-layout,
// --state-dtype, --checkpoint-every: all of a Problem but its sizes and tensor types. `state_dtype`
// stays empty unless given, so that a file's initial_state can decide.
struct OperationOptions {
  Problem problem;
  std::optional<DType> state_dtype;
  void add_to(CLI::App& command);
};

// --batch, --tokens, --heads, --v-heads, --head-dim, --v-head-dim, --dtype, --sequences.
struct ShapeOptions {
  std::optional<std::int64_t> batch, tokens, heads, v_heads, head_dim, v_head_dim, sequences;
  std::optional<DType> dtype;
  void add_to(CLI::App& command);
  bool any() const;
  // Overwrites what was given; value heads follow the heads unless given.
  void apply_to(Problem& problem) const;
};

// "fp32", "bf16", ...: the words of the options, for tables and JSON.
std::string word_of(DType dtype);
std::string word_of(Precision precision);
std::string word_of(BackendKind backend);
std::string word_of(GateKind gate);

}  // namespace flash_kda::cli
