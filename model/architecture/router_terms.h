// model/architecture/router_terms.h: two losses of a layer's routing, language prior and load
// balance, which a pass makes where it is asked for them (Transformer::hidden()). These are the
// reference, plain ATen; on a GPU the pass over the scores that chooses makes them, too
// (device_routing.h). Legend: T tokens, D model width, E base experts, n added, K experts per
// token.
#pragma once
#include "model/architecture/moe_layer.h"

namespace polygraft::model {

/// Which tokens of a batch count for which term; none by default.
struct RouterTerms {
  at::Tensor prior_weight_T = {};  ///< float32; undefined: no language prior
  int64_t num_balanced = 0;        ///< the first so many tokens are load-balanced; 0: none
  bool balance_base = false;       ///< over all experts instead of the added ones

  /// The same with the weights where the model is.
  RouterTerms on(at::Device device) const;
};

/// What a layer's router has made of its input.
struct RouterScores {
  at::Tensor base_TE;   ///< float32
  at::Tensor added_Tn;  ///< float32; undefined without added experts
  /// Of what the added scores were made: the prior trains these rows, and nothing else.
  at::Tensor input_TD = {}, added_rows_nD = {};
};

/// Scores of added experts once more, of the input as it is: what they train is the rows, not the
/// layers below. Computed in the input's dtype, as is the rows' gradient. @return float32 [T, n].
at::Tensor scores_of_rows(const at::Tensor& input_TD, const at::Tensor& added_rows_nD);

/// sum_T weight * -log(sum of base probabilities), with one softmax over all experts: MoE-LPR's
/// language-prior routing loss (arXiv 2408.11396), whose one original expert is here the base's E.
/// (Its released code takes the softmax of a softmax, whose loss is never below 0.744.)
at::Tensor prior_sum(const at::Tensor& base_TE, const at::Tensor& added_Tn,
                     const at::Tensor& weight_T);

/// Switch Transformer's load-balancing loss (Fedus et al. 2021, arXiv 2101.03961, eq. 4) over one
/// group of experts: N * sum_i f_i P_i, with f_i expert i's share of the group's choices and P_i
/// its mean probability within the group. 1 when both are uniform. @param scores_TN of the group.
/// @param first_expert id of its first expert in expert_TK.
/// @return 0 when the group was never chosen.
at::Tensor load_balance_loss(const at::Tensor& scores_TN, const at::Tensor& expert_TK,
                             int64_t first_expert);

/// Sets the terms of what route() chose. Without added experts there is no prior, and nothing to
/// balance but the base. The prior is differentiable in the added rows alone: they learn to lose
/// tokens, the layers below do not learn to move them.
void add_terms(const RouterScores& scores, const RouterTerms& terms, Routing& routing);

}  // namespace polygraft::model
