// model/architecture/logit_losses.h: losses of each token's logits and their gradients: by
// model/kernels in one pass over a token where it runs fast, else by LibTorch. Legend: C tokens, V
// base rows, v added rows.
#pragma once
#include <ATen/ATen.h>

#include "model/checkpoint/row_layout.h"

namespace polygraft::model {

/// What base and added rows give, which are separate products; or their gradients.
struct SplitLogits {
  at::Tensor base_CV, added_Cv;  ///< added: undefined when there are none
};

/// logsumexp of each token's logits. @return float64 [C].
at::Tensor log_sum_exp(const at::Tensor& logits_CN);

/// Negative log-likelihood in nats, 0 where the target is -1. `logits` become its gradient, p -
/// onehot(target). @param targets_C ids of stored rows. @return float64 [C].
at::Tensor cross_entropy(SplitLogits& logits, const at::Tensor& targets_C, const RowLayout& layout);

/// KL in nats of the base's distribution over rows that are not displaced, from its logits (which
/// become something else), and `logits`', over all stored rows. @param with_gradient `logits`
/// become q - p_base, which is q at added rows. @return float64 [C].
at::Tensor kl_divergence(at::Tensor& base_logits_CV, SplitLogits& logits, const RowLayout& layout,
                         bool with_gradient);

/// softplus(logsumexp_v - logsumexp of base rows that are not displaced). @param with_gradient
/// added logits become their probabilities. @return float64 [C].
at::Tensor head_leak(SplitLogits& logits, const RowLayout& layout, bool with_gradient);

}  // namespace polygraft::model
