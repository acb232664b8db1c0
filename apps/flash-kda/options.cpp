#include "apps/flash-kda/options.hpp"

namespace flash_kda::cli {

const Choices<BackendKind> kBackendChoices{{"reference", BackendKind::kReference},
                                           {"cpu", BackendKind::kCpu},
                                           {"cuda", BackendKind::kCuda}};
const Choices<Precision> kPrecisionChoices{{"fp32", Precision::kF32}, {"bf16", Precision::kBF16}};
const Choices<Algorithm> kAlgorithmChoices{{"auto", Algorithm::kAuto},
                                           {"recurrent", Algorithm::kRecurrent},
                                           {"chunked", Algorithm::kChunked},
                                           {"fused", Algorithm::kFused}};
const Choices<Cuts> kCutsChoices{{"auto", Cuts::kAuto}, {"exact", Cuts::kExact}};
const Choices<GateKind> kGateChoices{{"lower-bound", GateKind::kLowerBound},
                                     {"softplus", GateKind::kSoftplus},
                                     {"log", GateKind::kLog}};
const Choices<DType> kFloatChoices{
    {"fp32", DType::kF32}, {"bf16", DType::kBF16}, {"fp16", DType::kF16}};
const Choices<DType> kStateDTypeChoices{{"fp32", DType::kF32}, {"bf16", DType::kBF16}};

namespace {

const Choices<QkNorm> kNormChoices{{"on", QkNorm::kL2}, {"off", QkNorm::kNone}};
const Choices<BetaForm> kBetaChoices{{"logits", BetaForm::kLogits},
                                     {"activated", BetaForm::kActivated}};
const Choices<int> kVPanelChoices{{"64", 64}, {"128", 128}};
const Choices<StateLayout> kLayoutChoices{{"vk", StateLayout::kVK}, {"kv", StateLayout::kKV}};

template <typename T>
std::string find_word(const Choices<T>& choices, T value) {
  for (const auto& [word, known] : choices) {
    if (known == value) return word;
  }
  return "?";
}

}  // namespace

void add_plan_options(CLI::App& command, PlanOptions& options) {
  add_choice(command, "--backend", options.backend, kBackendChoices,
             "Backend; default: the fastest that supports the problem");
  add_choice(command, "--precision", options.precision, kPrecisionChoices,
             "Arithmetic of the products; default: fp32");
  command.add_option("--threads", options.threads, "CPU threads at most; default: all")
      ->check(CLI::Range(1, 4096));
  add_gpu_options(command, options);
}

void add_gpu_options(CLI::App& command, PlanOptions& options) {
  add_choice(command, "--cuts", options.cuts, kCutsChoices,
             "Where the fused GPU kernel may cut a sequence: also where the gates prove that the "
             "part after the cut may start from a replay, or only where it waits; default: auto");
  command
      .add_option("--multiprocessors", options.multiprocessors,
                  "Multiprocessors of the GPU that the fused kernel may use at most; default: all")
      ->check(CLI::Range(1, 4096).description(""))
      ->type_name("N");
  add_choice(
      command, "--v-panel", options.v_panel, kVPanelChoices,
      "Value rows that a block of the fused GPU kernel owns; with 64, clusters of two blocks "
      "share a chain; default: the plan's choice");
}

void OperationOptions::add_to(CLI::App& command) {
  add_choice(command, "--gate", problem.gate.kind, kGateChoices,
             "How the log decay comes from g; default: lower-bound");
  command.add_option("--lower-bound", problem.gate.lower_bound,
                     "Bound of the gate lower-bound, in nats, below 0; default: -5");
  command.add_option("--scale", problem.scale, "Scale of the output; default: K^-0.5");
  add_choice(command, "--qk-l2norm", problem.qk_norm, kNormChoices,
             "L2-normalise q and k; default: on");
  add_choice(command, "--beta", problem.beta_form, kBetaChoices,
             "What the tensor beta holds; default: logits");
  command.add_flag_callback(
      "--neg-eigval", [this] { problem.beta_range = BetaRange::kDoubled; },
      "Double beta after activation, to admit negative eigenvalues");
  add_choice(command, "--state-layout", problem.state.layout, kLayoutChoices,
             "Last two dimensions of states; default: vk");
  add_choice(command, "--state-dtype", state_dtype, kStateDTypeChoices,
             "Type of states and checkpoints; default: that of initial_state, else fp32");
  const auto set_every = [this](const std::int64_t& every) {
    problem.checkpoints.kind = CheckpointKind::kEvery;
    problem.checkpoints.every = every;
  };
  command
      .add_option_function<std::int64_t>("--checkpoint-every", set_every,
                                         "Keep the state after every N tokens of a sequence")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
}

void ShapeOptions::add_to(CLI::App& command) {
  command.add_option("--batch", batch, "Batch rows B");
  command.add_option("--tokens", tokens, "Tokens T of a row");
  command.add_option("--heads", heads, "Query/key heads H");
  command.add_option("--v-heads", v_heads, "Value heads HV, a multiple of H; default: H");
  command.add_option("--head-dim", head_dim, "Key dimension K, and V unless given");
  command.add_option("--v-head-dim", v_head_dim, "Value dimension V");
  command.add_option("--sequences", sequences, "Packed sequences N in one row");
  add_choice(command, "--dtype", dtype, kFloatChoices, "Type of q, k, v, out, g, beta");
}

bool ShapeOptions::any() const {
  return batch || tokens || heads || v_heads || head_dim || v_head_dim || sequences || dtype;
}

void ShapeOptions::apply_to(Problem& problem) const {
  problem.batch = batch.value_or(problem.batch);
  problem.tokens = tokens.value_or(problem.tokens);
  if (heads) problem.qk_heads = problem.v_heads = *heads;
  problem.v_heads = v_heads.value_or(problem.v_heads);
  if (head_dim) problem.head_dim_k = problem.head_dim_v = *head_dim;
  problem.head_dim_v = v_head_dim.value_or(problem.head_dim_v);
  if (sequences) problem.num_sequences = sequences;
  if (dtype) {
    problem.qkv_dtype = problem.out_dtype = *dtype;
    // g and beta know no fp16.
    problem.gate_dtype = problem.beta_dtype = *dtype == DType::kF16 ? DType::kF32 : *dtype;
  }
}

std::string word_of(DType dtype) { return find_word(kFloatChoices, dtype); }
std::string word_of(Precision precision) { return find_word(kPrecisionChoices, precision); }
std::string word_of(BackendKind backend) { return find_word(kBackendChoices, backend); }
std::string word_of(GateKind gate) { return find_word(kGateChoices, gate); }

}  // namespace flash_kda::cli
