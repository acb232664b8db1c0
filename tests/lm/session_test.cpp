// The model says the same however a document is cut, and says what PyTorch says.

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/lm/capture.hpp"
#include "apps/lm/evaluate.hpp"
#include "apps/lm/generate.hpp"
#include "tests/lm/tiny_model.hpp"

namespace flash_kda::lm {
namespace {

// Of the largest logit. A sum of 384 fp32 products in another order differs by 2^-24 * sqrt(384) =
// 1.2e-6, about 10 such sums follow each other in each of 4 layers, and the fp32 operation adds
// less: 5e-5.
constexpr double kTolerance = 5e-5;

constexpr std::string_view kText =
    "def chunked(tokens, size):\n    for first in range(0, len(tokens), size):\n"
    "        yield tokens[first : first + size]\n\n\nclass Reader:\n    pass\n";

std::shared_ptr<const Weights> load(const std::string& path) {
  auto weights = load_weights(path);
  EXPECT_TRUE(weights.ok()) << weights.status().message();
  return *weights;
}

std::string tiny_path(const std::string& gate) {
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  std::string name = std::string(info->name()) + gate;
  std::replace(name.begin(), name.end(), '/', '_');
  return make_tiny_model(gate).save(name);
}

SessionOptions options_for(BackendKind backend, std::int64_t chunk_tokens) {
  SessionOptions options;
  options.plan.backend = backend;
  options.plan.threads = 1;
  options.chunk_tokens = chunk_tokens;
  return options;
}

Matrix all_logits(const std::shared_ptr<const Weights>& weights, const SessionOptions& options,
                  std::span<const std::uint8_t> tokens) {
  Session session(weights, options);
  Matrix all(static_cast<Eigen::Index>(tokens.size()), kVocabulary);
  const Status status = session.read(tokens, [&](std::int64_t first, const Matrix& logits) {
    all.middleRows(first, logits.rows()) = logits;
  });
  EXPECT_TRUE(status.ok()) << status.message();
  return all;
}

void expect_close(const Matrix& got, const Matrix& want) {
  const float largest = want.cwiseAbs().maxCoeff();
  EXPECT_GT(largest, 0.1f);
  EXPECT_LE((got - want).cwiseAbs().maxCoeff(), kTolerance * largest);
}

struct Case {
  BackendKind backend;
  const char* gate;

  friend void PrintTo(const Case& c, std::ostream* out) {
    *out << to_string(c.backend) << " " << c.gate;
  }
};

class SessionTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!backend_info(GetParam().backend).available) GTEST_SKIP() << "backend not available";
  }
};

TEST_P(SessionTest, ChunksAndSingleTokensEqualOneCall) {
  const auto weights = load(tiny_path(GetParam().gate));
  const std::vector<std::uint8_t> tokens = document_tokens(kText);
  const Matrix whole = all_logits(weights, options_for(GetParam().backend, 4096), tokens);
  // 1: decode steps. 2: shorter than the convolution. 37: no multiple of anything.
  for (const std::int64_t chunk : {1, 2, 37, 64}) {
    SCOPED_TRACE(chunk);
    expect_close(all_logits(weights, options_for(GetParam().backend, chunk), tokens), whole);
  }
}

TEST_P(SessionTest, EqualsTheReference) {
  const auto weights = load(tiny_path(GetParam().gate));
  const std::vector<std::uint8_t> tokens = document_tokens(kText);
  expect_close(all_logits(weights, options_for(GetParam().backend, 64), tokens),
               all_logits(weights, options_for(BackendKind::kReference, 64), tokens));
}

TEST_P(SessionTest, EqualsPyTorch) {
  const std::string gate = GetParam().gate;
  std::ifstream file(FLASH_KDA_TEST_DATA "/lm_" + gate + "_logits.json");
  const nlohmann::json recorded = nlohmann::json::parse(file);
  const auto prompt = recorded["prompt"].get<std::vector<std::uint8_t>>();
  const auto positions = recorded["positions"].get<std::vector<Eigen::Index>>();

  const auto weights = load(FLASH_KDA_MODELS "/kda_" + gate + ".safetensors");
  const Matrix got = all_logits(weights, options_for(GetParam().backend, 512), prompt);
  for (std::size_t i = 0; i < positions.size(); ++i) {
    const auto row = recorded["logits"][i].get<std::vector<float>>();
    const Matrix want = Eigen::Map<const Matrix>(row.data(), 1, kVocabulary);
    expect_close(got.row(positions[i]), want);
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, SessionTest,
                         testing::Values(Case{BackendKind::kReference, "lower_bound"},
                                         Case{BackendKind::kReference, "softplus"},
                                         Case{BackendKind::kCpu, "lower_bound"},
                                         Case{BackendKind::kCpu, "softplus"}),
                         [](const auto& test) {
                           return std::string(to_string(test.param.backend)) + "_" +
                                  test.param.gate;
                         });

TEST(Sampler, IsGreedyAtTemperatureZeroAndRepeatable) {
  std::vector<float> logits(256, 0.0f);
  logits[7] = logits[9] = 2.0f;
  EXPECT_EQ(Sampler({}).draw(logits), 7);  // ties: the smaller byte

  const SamplingOptions options{.temperature = 1, .top_k = 2, .seed = 3};
  Sampler first(options), second(options);
  for (int i = 0; i < 100; ++i) {
    const std::uint8_t byte = first.draw(logits);
    EXPECT_TRUE(byte == 7 || byte == 9);
    EXPECT_EQ(byte, second.draw(logits));
  }
}

TEST(Generate, WritesAsManyBytesAsAskedFor) {
  Session session(load(tiny_path("softplus")), options_for(BackendKind::kReference, 16));
  const auto generation = generate(session, kText, {.tokens = 5});
  ASSERT_TRUE(generation.ok()) << generation.status().message();
  EXPECT_EQ(generation->text.size(), 5u);
  EXPECT_EQ(generation->prompt.tokens, static_cast<std::int64_t>(kText.size() + 1));
  EXPECT_EQ(generation->decode.tokens, 5);
}

TEST(Evaluate, ScoresEveryByte) {
  const auto weights = load(tiny_path("softplus"));
  const auto options = options_for(BackendKind::kReference, 16);
  const auto result = evaluate(weights, options, "ab");
  ASSERT_TRUE(result.ok()) << result.status().message();
  double nats = 0;
  for (int row = 0; row < 2; ++row) {
    const Eigen::ArrayXd x = result->logits.row(row).cast<double>().transpose().array();
    nats += std::log(x.exp().sum()) - x("ab"[row]);
  }
  EXPECT_NEAR(result->bits_per_byte, nats / 2 / std::log(2.0), 1e-12);
  EXPECT_FALSE(evaluate(weights, options, "").ok());
}

TEST(Capture, WritesTheInputsOfTheLayer) {
  const auto weights = load(tiny_path("softplus"));
  const auto options = options_for(BackendKind::kReference, 16);
  const std::string path = testing::TempDir() + "/flash_kda_lm_capture.safetensors";
  auto file = apps::AtomicFile::create(path);
  ASSERT_TRUE(file.ok());
  EXPECT_FALSE(capture(weights, options, kText, 2, *file).ok());  // layers 0 and 1 only
  ASSERT_TRUE(capture(weights, options, kText, 1, *file).ok());
  ASSERT_TRUE(file->commit().ok());

  const auto captured = apps::SafetensorsFile::open(path);
  ASSERT_TRUE(captured.ok()) << captured.status().message();
  const std::int64_t tokens = static_cast<std::int64_t>(kText.size()) + 1;
  using Shape = std::vector<std::int64_t>;
  EXPECT_EQ(captured->find("q")->shape, (Shape{1, tokens, 1, 64}));
  EXPECT_EQ(captured->find("g")->shape, (Shape{1, tokens, 2, 64}));
  EXPECT_EQ(captured->find("beta")->shape, (Shape{1, tokens, 2}));
  EXPECT_EQ(captured->metadata().at("gate"), "softplus");
  const TensorView a_log = captured->view(*captured->find("A_log"));
  EXPECT_EQ(0, std::memcmp(a_log.data, weights->layers[1].A_log.data(), 2 * sizeof(float)));
}

}  // namespace
}  // namespace flash_kda::lm
