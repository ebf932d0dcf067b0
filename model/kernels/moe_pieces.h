// model/kernels/moe_pieces.h: how a layer's rows are cut into work, and how pieces get at their
// rows; shared by moe_forward.cpp and moe_backward.cpp.
#pragma once
#include <vector>

#include "model/kernels/moe.h"
#include "model/kernels/piece_rows.h"

namespace polygraft::kernels {

/// Consecutive rows of one expert.
struct Piece {
  int64_t expert = 0, first_row = 0, num_rows = 0;
};

/// All rows of the active experts. One with many rows is cut, also so that every thread gets some.
std::vector<Piece> cut_pieces(const MoeLayer& layer, const Runner& runner);

/// A piece's rows of [T, D], where they lie.
void gather_rows(const MoeLayer& layer, const Piece& piece, const float* from, RowPointers& rows);
/// Rows that lie one after another.
void consecutive_rows(const float* first, int64_t stride, int64_t num_rows, RowPointers& rows);

/// Calls `multiply(piece, columns, out, stride)`, which is to fill [rows of piece, columns] of all
/// rows' outputs, then sums each token's rows in slot order into `out` [T, D], a group of columns
/// at a time: the rows' outputs never exist as a whole.
struct ColumnRange {
  int64_t first = 0, count = 0;
};
using MultiplyPiece =
    std::function<void(const Piece& piece, ColumnRange columns, float* out, int64_t stride)>;
void multiply_and_combine(const Runner& runner, const MoeLayer& layer,
                          const std::vector<Piece>& pieces, const MultiplyPiece& multiply,
                          const float* weight, float* out);

}  // namespace polygraft::kernels
