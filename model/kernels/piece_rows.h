// model/kernels/piece_rows.h: how many rows a product takes at once; shared by linear.cpp and
// moe_*.cpp.
#pragma once
#include <array>
#include <cstdint>

namespace polygraft::kernels {

constexpr int64_t kPieceRows = 256;  // at most: their inputs fit a core's cache
constexpr int64_t kDepthRows = 256;  // rows that one step of a weight gradient adds up

/// Addresses of a piece's rows.
using RowPointers = std::array<const float*, kPieceRows>;

}  // namespace polygraft::kernels
