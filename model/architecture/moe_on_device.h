// model/architecture/moe_on_device.h: one sparse mixture-of-experts layer in bfloat16, forward and
// explicit backward, out of the bodies of model/device and LibTorch's grouped products:
//   route -> sort -> gather -> gate+up -> SwiGLU -> down -> weighted combine
// Never waits for the GPU: how many rows an expert has stays on it. The same code runs on CPU
// tensors with a device::HostExecutor, which is how it is tested; the mathematics is moe_layer.h's.
// On GPUs before sm_90 at::_grouped_mm itself falls back to a loop that waits. Legend: T tokens, D
// model width, E base experts, n added, N = n + E, K experts per token, F expert width, G = 2F,
// R = T K rows.
#pragma once
#include <ATen/ATen.h>

#include "model/architecture/moe_layer.h"
#include "model/device/executor.h"

namespace polygraft::model {

/// A layer's matrices, bfloat16, contiguous, on one device. The added experts come first: their
/// rows are then the first ones after sorting, where the grouped products of weight gradients
/// begin.
struct DeviceMoe {
  at::Tensor router_base_ED;
  at::Tensor router_added_nD;  ///< undefined without added experts
  at::Tensor gate_up_NGD, down_NDF;
  RouterRule rule;

  int64_t num_base() const { return router_base_ED.size(0); }
  int64_t num_added() const { return router_added_nD.defined() ? router_added_nD.size(0) : 0; }
};

/// Which tokens' routing is trained besides the output's own loss; none by default.
struct RouterTerms {
  at::Tensor prior_weight_T;  ///< float32; undefined: no language prior
  int64_t num_balanced = 0;   ///< the first so many tokens are load-balanced
  bool balance_base = false;  ///< over all experts instead of the added ones
};

/// What the backward needs; no product of the experts is among it but [gate | up].
struct DeviceMoeSaved {
  at::Tensor x_TD, base_TE, added_Tn, expert_TK, weight_TK;
  at::Tensor base_log_sum_T, added_log_sum_T, share_N;
  at::Tensor first_row, row_of_slot, slot_of_row, token_of_row;  // int32; first_row [N + 1]
  at::Tensor gate_up_RG;
  RouterTerms terms;
};

struct DeviceMoeOutput {
  at::Tensor y_TD;          ///< bfloat16
  at::Tensor prior;         ///< float32 [1], a sum over tokens; undefined without that term
  at::Tensor load_balance;  ///< float32 [1]; undefined without that term
  at::Tensor is_finite_T;   ///< uint8: whether a token's scores are; the caller looks when it likes
};

/// The loss's gradient in what forward returned.
struct DeviceMoeLossGradient {
  at::Tensor d_y_TD;  ///< bfloat16
  double prior = 0, load_balance = 0;
};

/// Gradients of the input and of what trains; those of added experts undefined when there are none.
struct DeviceMoeGradients {
  at::Tensor d_x_TD;                                 ///< bfloat16
  at::Tensor d_router_added_nD;                      ///< float32
  at::Tensor d_gate_up_added_nGD, d_down_added_nDF;  ///< bfloat16, sums in float32
};

/// @param x_TD bfloat16. @throws ConfigError for a shape that the bodies do not do (widths that are
/// no multiples of eight, too many experts).
DeviceMoeOutput forward_on_device(device::Executor& executor, const DeviceMoe& layer,
                                  const at::Tensor& x_TD, const RouterTerms& terms,
                                  DeviceMoeSaved& saved);

DeviceMoeGradients backward_on_device(device::Executor& executor, const DeviceMoe& layer,
                                      const DeviceMoeSaved& saved,
                                      const DeviceMoeLossGradient& gradient);

}  // namespace polygraft::model
