// model/architecture/moe_layer.h: one sparse mixture-of-experts layer, forward and explicit
// backward (reference, plain ATen). route -> sort tokens by expert -> gate+up -> SwiGLU -> down ->
// weighted combine in slot order. Reference implementation: transformers 5.23,
// Qwen3MoeSparseMoeBlock. Legend: T tokens, D model width, E base experts, n added, K experts per
// token, F expert width, G = 2F.
#pragma once
#include <ATen/ATen.h>

#include "model/architecture/weights.h"

namespace polygraft::model {

/// How scores become weights.
struct RouterRule {
  int64_t top_k = 0;
  bool renormalize = false;  ///< weights of the chosen experts sum to one (norm_topk_prob)
};

/// What one token batch chose. Expert ids: base first (0..E-1), then added (E..E+n-1).
struct Routing {
  at::Tensor weight_TK;  ///< float32; differentiable in the scores
  at::Tensor expert_TK;  ///< int64, descending score
  /// float32 scalars, differentiable; undefined where not asked for (router_terms.h).
  at::Tensor prior_sum = {}, load_balance = {};
};

/// Softmax over all experts in float32, then top-k. Ties go to the lower id: an added expert never
/// displaces an equal old one.
/// @param base_TE float32 scores of the base experts. @param added_Tn those of the added experts,
/// or undefined.
/// @throws NumericError naming the first token whose scores are not finite.
Routing route(const at::Tensor& base_TE, const at::Tensor& added_Tn, RouterRule rule);

/// y_TD = sum_k weight * down(silu(gate x) * up x), summed in slot order: the same bits for the
/// same thread count. Differentiable (a custom autograd function): dX through every chosen expert,
/// d(weight), and weight gradients only for the banks that require grad: with a frozen base that is
/// the added tail alone.
/// @param silence_added added experts keep their slots and weights but contribute nothing (to split
/// causes).
at::Tensor moe_experts(const at::Tensor& x_TD, const Routing& routing, const SplitRows& gate_up,
                       const SplitRows& down, bool silence_added = false);

/// How often each expert was chosen. @return int64 [E + n].
at::Tensor count_choices(const Routing& routing, int64_t num_experts);

}  // namespace polygraft::model
