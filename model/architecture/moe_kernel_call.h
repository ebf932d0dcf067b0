// model/architecture/moe_kernel_call.h: a layer's experts through model/kernels; moe_experts.cpp
// has the plain form. Legend: T tokens, D width, K experts of a token, F expert width, G = 2F, R =
// T K rows, E base experts, n added.
#pragma once
#include "model/architecture/moe_layer.h"
#include "model/architecture/sorted_slots.h"
#include "model/kernels/moe.h"

namespace polygraft::model {

/// What both directions need.
struct MoeKernelCall {
  const at::Tensor &x_TD, &weight_TK;  ///< float32
  const SortedSlots& slots;
  int64_t num_active;  ///< experts that contribute; those behind them give zero
  const SplitRows &gate_up, &down;
};

/// The matrices of one expert (base first, then added), where they lie.
kernels::ExpertMatrices expert_matrices(const SplitRows& gate_up, const SplitRows& down,
                                        int64_t expert);

/// Whether the matrices suit the kernels (see kernel_call.h).
bool experts_suit_kernels(const SplitRows& gate_up, const SplitRows& down,
                          at::ScalarType activations);

/// [g | u] of that many rows, for backward: float32, or bfloat16 where operands are rounded.
at::Tensor new_gate_up(int64_t num_rows, int64_t row_width);
/// As the kernels take it. @param gate_up_RG new_gate_up(), or undefined: not kept.
kernels::GateUp as_gate_up(const at::Tensor& gate_up_RG);

/// @param gate_up_RG written: what backward wants; null where none follows. @return [T, D].
at::Tensor kernel_experts(const MoeKernelCall& call, at::Tensor* gate_up_RG);

/// Undefined where not wanted.
struct MoeKernelGradients {
  at::Tensor d_x_TD, d_weight_TK;
  at::Tensor d_gate_up_base, d_gate_up_added, d_down_base, d_down_added;
};

/// Gradients of what requires them.
MoeKernelGradients kernel_experts_gradients(const MoeKernelCall& call, const at::Tensor& gate_up_RG,
                                            const at::Tensor& d_out_TD);

}  // namespace polygraft::model
