// model/kernels/moe_forward.cpp: see moe.h.
#include "model/kernels/moe_pieces.h"

namespace polygraft::kernels {
namespace {

/// Where a piece's [g | u] are computed: where they are kept, or else for a moment.
float* place_for(const Piece& piece, const GateUp& gate_up, int64_t row_width) {
  const bool in_place = gate_up.data != nullptr && gate_up.stored == Stored::kF32;
  return in_place ? reinterpret_cast<float*>(gate_up.data) + piece.first_row * row_width
                  : scratch(Scratch::kUnits, piece.num_rows * row_width);
}

/// h of one piece's rows, and [g | u] on the way.
void hidden_piece(const Runner& runner, const MoeLayer& layer, const Piece& piece, const float* x,
                  GateUp gate_up, float* hidden) {
  const Operations& operations = runner.operations;
  const int64_t width = layer.expert_width;
  RowPointers rows;
  gather_rows(layer, piece, x, rows);
  float* out = place_for(piece, gate_up, 2 * width);
  float* work = scratch(Scratch::kProduct, operations.product_scratch);
  const ExpertMatrices& expert = layer.experts[static_cast<size_t>(piece.expert)];
  Product product{rows.data(), piece.num_rows, 2 * width, layer.width,
                  expert.gate, true,           out,       2 * width};
  if (expert.is_one_matrix(width)) {
    operations.product(product, work);
  } else {
    product.num_units = width;
    operations.product(product, work);
    product.weight = expert.up;
    product.out = out + width;
    operations.product(product, work);
  }
  for (int64_t i = 0; i < piece.num_rows; ++i) {
    const float* gate = out + i * 2 * width;
    operations.swiglu(gate, gate + width, width, hidden + (piece.first_row + i) * width);
  }
  if (gate_up.data == nullptr || gate_up.stored != Stored::kBF16) return;
  const int64_t kept = piece.first_row * 2 * width * bytes_of(gate_up.stored);
  operations.round_bf16(out, piece.num_rows * 2 * width, gate_up.data + kept);
}

}  // namespace

void moe_forward(const Runner& runner, const MoeLayer& layer, const float* x, GateUp gate_up,
                 float* out) {
  const std::vector<Piece> pieces = cut_pieces(layer, runner);
  const int64_t width = layer.expert_width;
  float* hidden = scratch(Scratch::kHidden, layer.num_active_rows() * width);
  runner.threads.run(static_cast<int64_t>(pieces.size()), [&](int64_t i) {
    hidden_piece(runner, layer, pieces[static_cast<size_t>(i)], x, gate_up, hidden);
  });
  const auto multiply = [&](const Piece& piece, ColumnRange columns, float* to, int64_t stride) {
    RowPointers rows;
    consecutive_rows(hidden + piece.first_row * width, width, piece.num_rows, rows);
    const Matrix& down = layer.experts[static_cast<size_t>(piece.expert)].down;
    float* work = scratch(Scratch::kProduct, runner.operations.product_scratch);
    runner.operations.product({rows.data(), piece.num_rows, columns.count, width,
                               down.from(columns.first, 0), true, to, stride},
                              work);
  };
  multiply_and_combine(runner, layer, pieces, multiply, layer.weight, out);
}

}  // namespace polygraft::kernels
