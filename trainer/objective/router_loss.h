// trainer/objective/router_loss.h: losses on router scores, one layer at a time. All are sums over
// tokens, so that a step may be computed in pieces and divided by the step's totals. With t the
// K-th largest base score of a token and z_j the scores of the added experts, an added expert is
// chosen only if z_j > t; hence hinges on z_j - t (large-margin losses; objective.h has the
// objective as a whole). Legend: T tokens, E base experts, n added experts, K experts per token.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>

namespace polygraft::trainer {

/// t: the score that an added expert must pass to be chosen. @return [T], differentiable in the
/// scores.
at::Tensor selection_threshold(const at::Tensor& base_TE, int64_t top_k);

/// sum_T weight * sum_j relu(margin + z_j - t)^2: keeps added experts out.
at::Tensor keep_out_sum(const at::Tensor& added_Tn, const at::Tensor& threshold_T,
                        const at::Tensor& weight_T, double margin);

/// sum_T weight * mean over the highest scores of relu(margin - (z_j - t))^2: draws the token to
/// added experts. "Highest": the four largest z_j, so that the others stay free to serve other
/// tokens.
at::Tensor capture_sum(const at::Tensor& added_Tn, const at::Tensor& threshold_T,
                       const at::Tensor& weight_T, double margin);

}  // namespace polygraft::trainer
