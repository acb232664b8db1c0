// The chunkwise form against the recurrence, for every way to cut and every kind of gate.
#include "reference/chunkwise.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "tests/reference/random_rows.hpp"

namespace flash_kda::reference {
namespace {

constexpr std::int64_t kT = 77;
constexpr std::int64_t kK = 24;
constexpr std::int64_t kV = 20;
constexpr double kInf = std::numeric_limits<double>::infinity();
// Unit keys and beta < 1 keep every factor of both forms below the size of the state, so that each
// of the 77 tokens adds a few 2^-53 = 1.1e-16 per term of its sums of 24: 1e-13 at the most.
constexpr double kTolerance = 1e-13;

struct NamedGate {
  const char* name;
  RandomHead::Gate gate;
};

std::vector<NamedGate> gates() {
  return {{"slow", [](auto, auto, double u) { return -0.05 * u; }},
          {"published", [](auto, auto, double u) { return -7.2 * u; }},
          {"open", [](auto, auto, double) { return 0.0; }},
          {"steep", [](auto, auto, double u) { return -1443.0 * u; }},
          {"alternating", [](auto, auto, double u) { return u < 0.5 ? 0.0 : -1443.0; }},
          {"forgets_all", [](auto t, auto, double u) { return t % 9 == 4 ? -kInf : -u; }}};
}

struct Parameter {
  NamedGate gate;
  std::int64_t chunk_size;
};

std::vector<Parameter> parameters() {
  std::vector<Parameter> all;
  for (const NamedGate& gate : gates()) {
    for (const std::int64_t chunk_size : {1, 2, 3, 7, 16, 17, 38, 64, 76, 77, 100}) {
      all.push_back({gate, chunk_size});
    }
  }
  return all;
}

class Chunkwise : public testing::TestWithParam<Parameter> {};

TEST_P(Chunkwise, EqualsTheRecurrence) {
  const RandomHead head(kT, kK, kV, GetParam().gate.gate);
  const OwnedMatrix S0 = random_matrix(kK, kV, 6);
  OwnedMatrix S_recurrent = S0, S_chunked = S0;
  OwnedMatrix o_recurrent(kT, kV), o_chunked(kT, kV), delta(1, kV);
  recurrent(head.rows(), 0.5, S_recurrent.view, delta.view, o_recurrent.view);
  const ChunkMemory memory(GetParam().chunk_size, kK, kV);
  chunkwise(head.rows(), 0.5, GetParam().chunk_size, memory.scratch[0], S_chunked.view,
            o_chunked.view);
  EXPECT_LT(relative_error(o_chunked, o_recurrent), kTolerance);
  EXPECT_LT(relative_error(S_chunked, S_recurrent), kTolerance);
}

std::string parameter_name(const testing::TestParamInfo<Parameter>& parameter) {
  return std::string(parameter.param.gate.name) + "_C" + std::to_string(parameter.param.chunk_size);
}

INSTANTIATE_TEST_SUITE_P(GatesAndChunkSizes, Chunkwise, testing::ValuesIn(parameters()),
                         parameter_name);

// A NaN belongs to its token and to those after it.
TEST(ChunkwiseNaN, DoesNotReachEarlierTokensOfTheChunk) {
  RandomHead head(16, kK, kV, [](auto, auto, double u) { return -u; });
  head.v.view(9, 3) = std::nan("");
  OwnedMatrix S(kK, kV), o(16, kV);
  const ChunkMemory memory(16, kK, kV);
  chunkwise(head.rows(), 1.0, 16, memory.scratch[0], S.view, o.view);
  for (std::int64_t t = 0; t < 16; ++t) {
    for (std::int64_t v = 0; v < kV; ++v) {
      EXPECT_EQ(std::isnan(o.view(t, v)), t >= 9 && v == 3) << "token " << t << " v " << v;
    }
  }
}

}  // namespace
}  // namespace flash_kda::reference
