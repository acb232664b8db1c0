#include "apps/common/safetensors.hpp"

#include <gmock/gmock.h>

#include <cstring>
#include <numeric>

#include "tests/cli/temporary_folder.hpp"

namespace flash_kda::apps {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string file_bytes(const std::string& json, std::size_t data_bytes) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(json.size() >> (8 * i) & 0xff);
  return bytes + json + std::string(data_bytes, '\1');
}

TEST(Safetensors, WritesWhatItReads) {
  const TemporaryFolder folder;
  std::vector<float> numbers(6);
  std::iota(numbers.begin(), numbers.end(), 1.0f);
  std::vector<std::uint16_t> halves{1, 2, 3};
  std::vector<std::int64_t> offsets{0, 4, 9};
  const std::vector<NamedTensor> tensors{
      {"halves", TensorView::contiguous(halves.data(), DType::kBF16, {3})},
      {"numbers", TensorView::contiguous(numbers.data(), DType::kF32, {2, 3})},
      {"offsets", TensorView::contiguous(offsets.data(), DType::kI64, {3})},
      {"nothing", TensorView::contiguous(nullptr, DType::kF16, {0, 7})},
      {"scalar", TensorView::contiguous(numbers.data(), DType::kF32, {})}};
  const std::string path = folder.file("x.safetensors");
  ASSERT_TRUE(save_safetensors(path, tensors, {{"author", "a \"test\""}}).ok());

  Result<SafetensorsFile> file = SafetensorsFile::open(path);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->metadata().at("author"), "a \"test\"");
  ASSERT_EQ(file->entries().size(), tensors.size());
  const SafetensorsFile moved = std::move(*file);
  for (const NamedTensor& tensor : tensors) {
    const TensorEntry* entry = moved.find(tensor.name);
    ASSERT_NE(entry, nullptr) << tensor.name;
    const TensorView view = moved.view(*entry);
    EXPECT_EQ(view.dtype, tensor.view.dtype);
    EXPECT_EQ(view.rank, tensor.view.rank);
    EXPECT_EQ(view.shape, tensor.view.shape);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(view.data) % 64, 0u);
    const std::size_t bytes = view.num_elements() * size_of(view.dtype);
    EXPECT_TRUE(bytes == 0 || std::memcmp(view.data, tensor.view.data, bytes) == 0) << tensor.name;
  }
  EXPECT_EQ(moved.view(*moved.find("numbers")).strides[0], 3);
  EXPECT_EQ(moved.find("absent"), nullptr);
}

TEST(Safetensors, ReadsTensorsThatLieUnaligned) {
  const TemporaryFolder folder;
  const std::string path = folder.file("x");
  write_all(path, file_bytes(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
                             R"("b":{"dtype":"F32","shape":[1],"data_offsets":[3,7]}} )",
                             7));
  const Result<SafetensorsFile> file = SafetensorsFile::open(path);
  ASSERT_TRUE(file.ok()) << file.status().message();
  const TensorView view = file->view(*file->find("b"));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(view.data) % 64, 0u);
  std::uint32_t bits = 0;
  std::memcpy(&bits, view.data, 4);
  EXPECT_EQ(bits, 0x01010101u);
}

TEST(Safetensors, AcceptsTheSmallestFile) {
  const TemporaryFolder folder;
  write_all(folder.file("x"), file_bytes("{}", 0));
  const Result<SafetensorsFile> file = SafetensorsFile::open(folder.file("x"));
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_TRUE(file->entries().empty());
}

TEST(Safetensors, NamesAFileThatCannotBeRead) {
  EXPECT_THAT(SafetensorsFile::open("/no/such/file").status().message(),
              HasSubstr("/no/such/file: cannot read"));
  EXPECT_THAT(SafetensorsFile::open("/dev/zero").status().message(),
              HasSubstr("not a regular file"));
}

TEST(Safetensors, EveryCutOfAFileIsRefused) {
  const TemporaryFolder folder;
  const std::string whole =
      file_bytes(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8);
  const std::string path = folder.file("x");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_all(path, whole.substr(0, size));
    EXPECT_FALSE(SafetensorsFile::open(path).ok()) << size << " bytes";
  }
}

TEST(SafetensorsHeaderLength, IsCheckedAgainstTheFile) {
  std::array<std::byte, 8> start{};
  start[0] = std::byte{100};
  EXPECT_THAT(parse_header_length(start, 50).status().message(),
              HasSubstr("100 is above the 42 bytes that follow"));
  start.fill(std::byte{0xff});
  EXPECT_THAT(parse_header_length(start, 50).status().message(), HasSubstr("above the limit"));
  EXPECT_THAT(parse_header_length({}, 0).status().message(), HasSubstr("not a safetensors file"));
}

struct BadHeader {
  const char* name;
  const char* json;
  std::uint64_t data_bytes;
  const char* message;
};

class SafetensorsBadHeader : public ::testing::TestWithParam<BadHeader> {};

TEST_P(SafetensorsBadHeader, IsNamed) {
  const Result<SafetensorsHeader> header = parse_header(GetParam().json, GetParam().data_bytes);
  ASSERT_FALSE(header.ok());
  EXPECT_EQ(header.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(header.status().message(), HasSubstr(GetParam().message));
  EXPECT_THAT(header.status().message(), Not(HasSubstr("\n")));
}

INSTANTIATE_TEST_SUITE_P(
    Files, SafetensorsBadHeader,
    ::testing::Values(
        BadHeader{"empty", "", 0, "does not start with '{'"},
        BadHeader{"list", "[]", 0, "does not start with '{'"},
        BadHeader{"cut", R"({"a":)", 0, "not valid JSON"},
        BadHeader{"trailing", "{} x", 0, "not valid JSON"},
        BadHeader{"utf8", "{\"\xff\":1}", 0, "not valid JSON"},
        BadHeader{"number", R"({"a":1})", 0, R"("a": expected an object, got a number)"},
        BadHeader{"deep", R"({"a":{"dtype":{"x":{}}}})", 0, "unexpected an object in dtype"},
        BadHeader{"deep_list", R"({"a":{"shape":[[1]]}})", 0, "unexpected a list in shape"},
        BadHeader{"unknown_field", R"({"a":{"extra":1}})", 0, R"(unknown field "extra")"},
        BadHeader{"twice_field", R"({"a":{"shape":[1],"shape":[2]}})", 0, "shape appears twice"},
        BadHeader{"twice_name", R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{}})",
                  0, R"(the name "a" appears twice)"},
        BadHeader{"escaped_name", R"({"a\n":1})", 0, R"("a\n": expected an object)"},
        BadHeader{"no_dtype", R"({"a":{"shape":[0],"data_offsets":[0,0]}})", 0, "dtype is missing"},
        BadHeader{"no_shape", R"({"a":{"dtype":"F32","data_offsets":[0,0]}})", 0,
                  "shape is missing"},
        BadHeader{"no_offsets", R"({"a":{"dtype":"F32","shape":[0]}})", 0,
                  "data_offsets is missing"},
        BadHeader{"dtype", R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}})", 8,
                  R"(dtype "F64" is not supported)"},
        BadHeader{"rank", R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1,
                  "shape has more than 6 values"},
        BadHeader{"negative", R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1,
                  "a negative number in shape"},
        BadHeader{"fraction", R"({"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,1]}})", 1,
                  "no 64-bit integer in shape"},
        BadHeader{"overflow",
                  R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})",
                  0, "product of its shape overflows"},
        BadHeader{"hidden_overflow",
                  R"({"a":{"dtype":"U8","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}})",
                  0, "product of its shape overflows"},
        BadHeader{"size", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
                  "need 8 bytes, but data_offsets [0, 4] hold 4"},
        BadHeader{"outside", R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})", 4,
                  "data_offsets [0, 8] lie outside the 4 bytes"},
        BadHeader{"reversed", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[2,1]}})", 4,
                  "data_offsets [2, 1] lie outside"},
        BadHeader{"three_offsets", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}})", 1,
                  "expected 2 values, got 3"},
        BadHeader{"overlap",
                  R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                  R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
                  6, R"("b": its data overlaps that of tensor "a")"},
        BadHeader{"gap",
                  R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                  R"("b":{"dtype":"U8","shape":[2],"data_offsets":[5,7]}})",
                  7, "bytes 4 to 5 before it belong to no tensor"},
        BadHeader{"uncovered", R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 5,
                  "cover 4 of the 5 bytes"},
        BadHeader{"metadata_number", R"({"__metadata__":{"a":1}})", 0,
                  R"(__metadata__: "a": expected a string, got a number)"},
        BadHeader{"metadata_twice", R"({"__metadata__":{"a":"1","a":"2"}})", 0,
                  R"(__metadata__: the key "a" appears twice)"}),
    [](const auto& test) { return test.param.name; });

TEST(SafetensorsHeader, DeepNestingIsCheap) {
  std::string json = R"({"a":)";
  for (int i = 0; i < 1'000'000; ++i) json += "[";
  EXPECT_FALSE(parse_header(json, 0).ok());
}

}  // namespace
}  // namespace flash_kda::apps
