// model/architecture/moe_kernel_call.cpp: see moe_kernel_call.h.
#include "model/architecture/moe_kernel_call.h"

#include "model/architecture/kernel_call.h"
#include "model/architecture/maybe_tensor.h"

namespace polygraft::model {
namespace {

/// The first matrix of a bank, in whichever way it is stored.
const at::Tensor& any_matrix(const SplitRows& bank) {
  return bank.pieces.empty() ? bank.base : bank.pieces.front();
}

/// The matrices that make up one expert's row of a bank, in order.
std::vector<kernels::Matrix> matrices_of(const SplitRows& bank, int64_t expert) {
  std::vector<kernels::Matrix> matrices;
  for (const at::Tensor& piece : bank.pieces_of(expert)) matrices.push_back(as_matrix(piece));
  if (!matrices.empty()) return matrices;
  const int64_t num_base = bank.num_base();
  return {as_matrix(expert < num_base ? bank.base.select(0, expert)
                                      : bank.added.select(0, expert - num_base))};
}

kernels::MoeLayer layer_of(const MoeKernelCall& call) {
  kernels::MoeLayer layer;
  layer.num_tokens = call.x_TD.size(0);
  layer.top_k = call.weight_TK.size(1);
  layer.width = call.x_TD.size(1);
  layer.expert_width = call.down.base.size(2);
  const int64_t num_experts = call.down.num_base() + call.down.num_added();
  for (int64_t e = 0; e < num_experts; ++e) {
    layer.experts.push_back(expert_matrices(call.gate_up, call.down, e));
  }
  layer.num_active = call.num_active;
  layer.first_row = call.slots.first_row.data();
  layer.token_of_row = call.slots.token_of_row.const_data_ptr<int64_t>();
  layer.slot_of_row = call.slots.slot_of_row.const_data_ptr<int64_t>();
  layer.row_of_slot = call.slots.row_of_slot.const_data_ptr<int64_t>();
  layer.weight = call.weight_TK.const_data_ptr<float>();
  return layer;
}

float* floats_of(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.mutable_data_ptr<float>() : nullptr;
}

at::Tensor like_if(bool wanted, const at::Tensor& tensor) {
  return wanted ? at::empty(tensor.sizes(), tensor.options().requires_grad(false)) : at::Tensor();
}

/// Where each expert's gradients go: nowhere where it is frozen.
std::vector<kernels::ExpertGradients> destinations(const MoeKernelCall& call,
                                                   const MoeKernelGradients& gradients) {
  const int64_t num_base = call.down.num_base(), num_added = call.down.num_added();
  std::vector<kernels::ExpertGradients> experts(static_cast<size_t>(num_base + num_added));
  const auto point = [&](int64_t first, int64_t count, const at::Tensor& gate_up,
                         const at::Tensor& down) {
    for (int64_t i = 0; i < count; ++i) {
      auto& expert = experts[static_cast<size_t>(first + i)];
      if (gate_up.defined()) expert.gate_up = floats_of(gate_up.select(0, i));
      if (down.defined()) expert.down = floats_of(down.select(0, i));
    }
  };
  point(0, num_base, gradients.d_gate_up_base, gradients.d_down_base);
  point(num_base, num_added, gradients.d_gate_up_added, gradients.d_down_added);
  return experts;
}

}  // namespace

kernels::ExpertMatrices expert_matrices(const SplitRows& gate_up, const SplitRows& down,
                                        int64_t expert) {
  const auto matrices = matrices_of(gate_up, expert);
  const bool is_fused = matrices.size() == 1;
  const auto up = is_fused ? matrices[0].from(down.base.size(2), 0) : matrices[1];
  return {matrices[0], up, matrices_of(down, expert)[0]};
}

bool experts_suit_kernels(const SplitRows& gate_up, const SplitRows& down,
                          at::ScalarType activations) {
  return suits_kernels(any_matrix(gate_up), activations) &&
         suits_kernels(any_matrix(down), activations);
}

at::Tensor new_gate_up(int64_t num_rows, int64_t row_width) {
  return at::empty({num_rows, row_width}, rounds_operands() ? at::kBFloat16 : at::kFloat);
}

kernels::GateUp as_gate_up(const at::Tensor& gate_up_RG) {
  if (!gate_up_RG.defined()) return {};
  const bool is_wide = gate_up_RG.scalar_type() == at::kFloat;
  return {static_cast<char*>(gate_up_RG.mutable_data_ptr()),
          is_wide ? kernels::Stored::kF32 : kernels::Stored::kBF16};
}

at::Tensor kernel_experts(const MoeKernelCall& call, at::Tensor* gate_up_RG) {
  at::Tensor kept_RG;
  if (gate_up_RG != nullptr) {
    kept_RG = *gate_up_RG = new_gate_up(call.weight_TK.numel(), call.gate_up.base.size(1));
  }
  auto out_TD = at::empty(call.x_TD.sizes(), call.x_TD.options());
  kernels::moe_forward(kernel_runner(), layer_of(call), call.x_TD.const_data_ptr<float>(),
                       as_gate_up(kept_RG), out_TD.mutable_data_ptr<float>());
  return out_TD;
}

MoeKernelGradients kernel_experts_gradients(const MoeKernelCall& call, const at::Tensor& gate_up_RG,
                                            const at::Tensor& d_out_TD) {
  MoeKernelGradients gradients{like_if(trains(call.x_TD), call.x_TD),
                               like_if(trains(call.weight_TK), call.weight_TK),
                               like_if(trains(call.gate_up.base), call.gate_up.base),
                               like_if(trains(call.gate_up.added), call.gate_up.added),
                               like_if(trains(call.down.base), call.down.base),
                               like_if(trains(call.down.added), call.down.added)};
  kernels::moe_backward(kernel_runner(), layer_of(call),
                        {call.x_TD.const_data_ptr<float>(), d_out_TD.const_data_ptr<float>(),
                         as_gate_up(gate_up_RG), floats_of(gradients.d_weight_TK),
                         floats_of(gradients.d_x_TD), destinations(call, gradients)});
  return gradients;
}

}  // namespace polygraft::model
