// model/kernels/moe.h: the experts of one mixture-of-experts layer, forward and backward, on raw
// pointers. Slots (token, k) are sorted by expert beforehand, so that an expert's rows are a range:
//   [g | u] = x W1^T;  h = silu(g) u;  y = h W2^T;  out_t = sum over k, in order, of weight * y
// and backward, with dO = d_out[token of row] and p = dO W2 (no weight yet):
//   d weight = <p, h>;  dh = weight p;  dx = [dg | du] W1;  dW2 = dO^T (weight h);  dW1 = [dg|du]^T
//   x
// Weights are read where they lie, in their stored dtype, once per piece of up to kPieceRows rows;
// rows of x and d_out are gathered by the products themselves. Everything is float32 inside.
// A row's bits do not depend on the other rows of its expert, on the pieces, or on the threads.
// Legend: T tokens, K slots of a token, R = T K rows, D width, F expert width, E experts.
#pragma once
#include <cstdint>
#include <vector>

#include "model/kernels/operations.h"
#include "model/kernels/tasks.h"

namespace polygraft::kernels {

struct ExpertMatrices {
  Matrix gate, up;  ///< [F, D]
  Matrix down;      ///< [D, F]

  /// Whether up's rows follow gate's: [g | u] is then one product.
  bool is_one_matrix(int64_t expert_width) const {
    return up.stored == gate.stored && up.row_bytes == gate.row_bytes &&
           up.data == gate.row(expert_width);
  }
};

struct MoeLayer {
  int64_t num_tokens = 0, top_k = 0, width = 0, expert_width = 0;
  std::vector<ExpertMatrices> experts;
  int64_t num_active = 0;                 ///< experts that contribute; those behind them give zero
  const int64_t* first_row = nullptr;     ///< [E + 1]
  const int64_t* token_of_row = nullptr;  ///< [R], ascending within an expert
  const int64_t* slot_of_row = nullptr;   ///< [R]
  const int64_t* row_of_slot = nullptr;   ///< [R]
  const float* weight = nullptr;          ///< [R], by slot

  int64_t num_active_rows() const { return first_row[num_active]; }
};

/// [g | u] of all rows, [R, 2F], contiguous: what backward wants of forward. bfloat16 halves the
/// memory; forward itself goes on from the float32 values.
struct GateUp {
  char* data = nullptr;  ///< null: not kept
  Stored stored = Stored::kF32;
};

/// What runs a layer, and on what.
struct Runner {
  const Operations& operations;
  const Threads& threads;
};

/// @param x [T, D], contiguous. @param gate_up is written. @param out [T, D].
void moe_forward(const Runner& runner, const MoeLayer& layer, const float* x, GateUp gate_up,
                 float* out);

/// Where an expert's weight gradients go, [2F, D] and [D, F]; null: frozen.
struct ExpertGradients {
  float *gate_up = nullptr, *down = nullptr;
};

struct MoeBackward {
  const float *x = nullptr, *d_out = nullptr;  ///< [T, D], contiguous
  GateUp gate_up;                              ///< from moe_forward(); read
  float* d_weight = nullptr;                   ///< [R], by slot; null: not wanted
  float* d_x = nullptr;                        ///< [T, D]; null: not wanted
  std::vector<ExpertGradients> experts;        ///< [E], or empty when all are frozen
};
void moe_backward(const Runner& runner, const MoeLayer& layer, const MoeBackward& backward);

}  // namespace polygraft::kernels
