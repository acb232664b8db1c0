// Which lane and register holds which matrix element: ldmatrix and mma.sync.
#pragma once

#include <cstdint>

namespace host_model {

struct FragmentPlace {
  int lane;
  int reg;    // 32-bit register
  int shift;  // bits, for two 16-bit elements in a register
};

// A fragment is made of 8x8 tiles of 16-bit elements (8x4 of 32-bit ones): in a tile, each row
// belongs to four lanes.
inline FragmentPlace place_in_tile(int row, int column, int element_bits) {
  if (element_bits == 32) return {row * 4 + column, 0, 0};
  return {row * 4 + column / 2, 0, column % 2 * 16};
}

// A of m16n8k*: tiles in column-major order (rows 0-7 and 8-15 of the first k columns first).
inline FragmentPlace place_a(int row, int k, int element_bits) {
  const int tile_columns = element_bits == 32 ? 4 : 8;
  FragmentPlace place = place_in_tile(row % 8, k % tile_columns, element_bits);
  place.reg = row / 8 + 2 * (k / tile_columns);
  return place;
}

// B of m16n8k* is held like an A tile of its transpose.
inline FragmentPlace place_b(int k, int column, int element_bits) {
  const int tile_columns = element_bits == 32 ? 4 : 8;
  FragmentPlace place = place_in_tile(column, k % tile_columns, element_bits);
  place.reg = k / tile_columns;
  return place;
}

// C and D of m16n8k* with 16- or 32-bit elements.
inline FragmentPlace place_c(int row, int column, int element_bits) {
  const int lane = row % 8 * 4 + column / 2;
  if (element_bits == 16) return {lane, row / 8, column % 2 * 16};
  return {lane, row / 8 * 2 + column % 2, 0};
}

}  // namespace host_model
