// Files that are no model get an error that names what is wrong.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "apps/lm/weights.hpp"
#include "tests/lm/tiny_model.hpp"

namespace flash_kda::lm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string unique_name() {
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  return std::string(info->test_suite_name()) + "_" + info->name();
}

Status load_status(const TinyModel& model) {
  return load_weights(model.save(unique_name())).status();
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Loader, AcceptsAGoodFile) {
  const auto weights = load_weights(make_tiny_model("softplus").save(unique_name()));
  ASSERT_TRUE(weights.ok()) << weights.status().message();
  EXPECT_EQ((*weights)->config.gate.kind, GateKind::kSoftplus);
  EXPECT_EQ((*weights)->layers.size(), 2u);
  EXPECT_EQ((*weights)->layers[1].v_proj.rows(), 128);
}

TEST(Loader, WidensBf16Exactly) {
  TinyModel model = make_tiny_model("lower_bound");
  TinyTensor& head = model.tensor("lm_head.weight");
  head.dtype = DType::kBF16;
  head.values[5] = -1.5f;  // three significant bits: the same in bf16
  const auto weights = load_weights(model.save(unique_name()));
  ASSERT_TRUE(weights.ok()) << weights.status().message();
  EXPECT_EQ((*weights)->lm_head(0, 5), -1.5f);
}

TEST(Loader, RejectsAMissingTensor) {
  TinyModel model = make_tiny_model("softplus");
  model.remove("layers.1.k_conv.weight");
  const Status status = load_status(model);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("layers.1.k_conv.weight"), HasSubstr("expected [64, 4]")));
}

TEST(Loader, RejectsAWrongShape) {
  TinyModel model = make_tiny_model("softplus");
  model.tensor("layers.0.o_proj.weight").shape = {128, 16};
  EXPECT_THAT(load_status(model).message(), AllOf(HasSubstr("layers.0.o_proj.weight"),
                                                  HasSubstr("expected [16, 128], got [128, 16]")));
}

TEST(Loader, RejectsAWrongType) {
  TinyModel model = make_tiny_model("softplus");
  model.tensor("final_norm.weight").dtype = DType::kF16;
  EXPECT_THAT(load_status(model).message(),
              AllOf(HasSubstr("final_norm.weight"), HasSubstr("expected f32 or bf16, got f16")));
}

TEST(Loader, RejectsAnUnknownTensor) {
  TinyModel model = make_tiny_model("softplus");
  TinyTensor extra = model.tensor("final_norm.weight");
  extra.name = "layers.2.attn_norm.weight";
  model.tensors.push_back(extra);
  EXPECT_THAT(load_status(model).message(),
              AllOf(HasSubstr("layers.2.attn_norm.weight"), HasSubstr("not part of this model")));
}

TEST(Loader, RejectsValuesThatAreNotFinite) {
  TinyModel model = make_tiny_model("softplus");
  model.tensor("layers.0.A_log").values[1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(load_status(model).message(),
              AllOf(HasSubstr("layers.0.A_log"), HasSubstr("finite")));
}

TEST(Loader, RejectsATruncatedFile) {
  const std::string path = make_tiny_model("softplus").save(unique_name());
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  const Status status = load_weights(path).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr(path));
}

TEST(Loader, RejectsAFileThatIsNotThere) {
  const Status status = load_weights(testing::TempDir() + "/no_such_model.safetensors").status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("no_such_model"));
}

struct BadConfig {
  const char* from;
  const char* to;
  const char* expected;
};

class LoaderConfig : public testing::TestWithParam<BadConfig> {};

TEST_P(LoaderConfig, IsRejectedByName) {
  TinyModel model = make_tiny_model("lower_bound");
  model.config = replaced(model.config, GetParam().from, GetParam().to);
  apps::Metadata metadata{
      {"format", "flash-kda-lm"}, {"format_version", "1"}, {"config", model.config}};
  const Result<ModelConfig> config = parse_config(metadata);
  ASSERT_FALSE(config.ok());
  EXPECT_THAT(config.status().message(), HasSubstr(GetParam().expected));
}

INSTANTIATE_TEST_SUITE_P(
    Fields, LoaderConfig,
    testing::Values(BadConfig{"lower_bound\"", "log\"", "gate: expected lower_bound or softplus"},
                    BadConfig{"-5.0", "0", "lower_bound: expected a number below 0, got 0"},
                    BadConfig{"-5.0", "-1e300", "lower_bound"},
                    BadConfig{"\"d_model\": 16,", "",
                              "d_model: expected an integer of 1..1048576, got nothing"},
                    BadConfig{"\"d_model\": 16", "\"d_model\": 16.5", "d_model"},
                    BadConfig{"\"n_layers\": 2", "\"n_layers\": 0", "n_layers"},
                    BadConfig{"\"n_layers\": 2", "\"n_layers\": 18446744073709551615", "n_layers"},
                    BadConfig{"\"n_heads_qk\": 1", "\"n_heads_qk\": 3",
                              "n_heads_v: expected a multiple of"},
                    BadConfig{"{\"gate\"", "[\"gate\"", "config: expected a JSON object"}));

TEST(LoaderConfig, NeedsTheFormat) {
  EXPECT_THAT(parse_config({}).status().message(), HasSubstr("format"));
  EXPECT_THAT(
      parse_config({{"format", "flash-kda-lm"}, {"format_version", "2"}}).status().message(),
      HasSubstr("format_version: expected 1, got '2'"));
}

}  // namespace
}  // namespace flash_kda::lm
