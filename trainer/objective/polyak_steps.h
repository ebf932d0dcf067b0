// trainer/objective/polyak_steps.h: method polyak: protection by steps of its own instead of by
// weights in the loss. After each optimizer step replayed rows, and as many tokens of learned ones,
// go once more, forward only, through the model as it is now, and the added rows that see them move
// towards
//   router row j of a layer:       f_j = mean over old tokens of relu(m + n_j.u - t)^2 = 0
//   output rows, all together:     f = mean of softplus(lse_v(e_v.h) - lse(E_base h)) = 0
// by Polyak's step for a function whose least value is known (Polyak 1969, "Minimization of
// unsmooth functionals"; on samples of it: Loizou et al. 2021, arXiv 2002.10542), in the metric of
// what these rows do to the new text, x = u or h of its tokens:
//   row -= r f / <g, M^-1 g> M^-1 g,   M = mean(x x^T) + 1e-3 tr(mean(x x^T))/D I
// Of all steps that lower old scores as much, this one changes the new text's least. r is the
// cause's multiplier (budget.h), at most 1: a step needs no learning rate, and longer ones
// overshoot.
// Legend: T tokens, D model width, R rows.
#pragma once
#include <ATen/ATen.h>

#include "trainer/objective/objective.h"

namespace polygraft::trainer {

/// r f / <g, M^-1 g> M^-1 g. @param value f: [1], of all rows together, or [R], each row's own.
/// @param gradient_RD g. @param metric_DD M, positive definite; otherwise steps are NaN.
/// @return float64 [R, D], to be subtracted from the rows; 0 where the gradient is 0.
at::Tensor polyak_step(const at::Tensor& value, const at::Tensor& gradient_RD,
                       const at::Tensor& metric_DD, double relaxation);

/// M of features. @return float64 [D, D].
at::Tensor feature_metric(const at::Tensor& features_TD);

class PolyakSteps {
 public:
  /// @param transformer whose rows move; referred to, not copied.
  PolyakSteps(const model::Transformer& transformer, tokenizer::TokenId prefix,
              const TrainConfig& config);

  /// One step for every `micro_batch_tokens` of replayed rows, over all layers.
  /// @return what they cost before, as the parts `hinge` and `head`. @throws NumericError naming
  /// rows that are not finite any more.
  StepLoss take(const StepRows& rows, const Multipliers& multipliers) const;

 private:
  struct Sample;
  struct Moved;
  static double sum(const std::vector<Moved>& moved);
  Moved move_router_rows(const model::RouterTap& tap, const Sample& sample,
                         double relaxation) const;
  Moved move_output_rows(const at::Tensor& hidden_TD, const Sample& sample,
                         double relaxation) const;

  const model::Transformer& transformer_;
  tokenizer::TokenId prefix_;
  TrainConfig config_;
};

}  // namespace polygraft::trainer
