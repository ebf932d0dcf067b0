// expand/router_rows.h: router rows of new experts, fitted so that they win new-language tokens and
// lose old ones before any training. A discriminant with hinges on both sides: weighted ridge
// regression as the start, then L-BFGS. Legend: D model width, n new experts, N new-text tokens, O
// old-text tokens.
#pragma once
#include <ATen/ATen.h>

namespace polygraft::expand {

/// What one layer's router saw of the calibration text in the base. u: router input after the norm;
/// t(u): the K-th largest score of the base's experts, which a new expert must beat to be chosen.
struct RouterFeatures {
  at::Tensor new_input_ND;     ///< u of new text, first positions left out
  at::Tensor new_threshold_N;  ///< t(u)
  at::Tensor new_donor_Nn;     ///< scores r_donor(j) . u
  at::Tensor old_input_OD;     ///< u of old text
  at::Tensor old_threshold_O;  ///< t(u)
  at::Tensor old_weight_O;     ///< how often the token counts
  /// log Z(u), Z the softmax's denominator over the base's experts. Defined in a model that does
  /// not renormalise the chosen experts' weights: new rows are kept out of that softmax too.
  at::Tensor old_log_normalizer_O;
};

struct RouterFitOptions {
  double margin = 0.3;       ///< m
  double old_weight = 64.0;  ///< beta
  double ridge = 1e-3;  ///< lambda, relative to the mean eigenvalue of the features' second moment
  int64_t max_iterations = 60;
  double softmax_share = 1e-3;  ///< epsilon: what new rows may take of the softmax on old text
};

/// How a fit went.
struct RouterFitNumbers {
  double value = 0;  ///< of the objective
  int64_t iterations = 0;
  double new_captured = 0;  ///< share of new tokens on which a new expert beats t
  double old_leaked = 0;    ///< the same for old tokens, by weight
  /// What new rows take of the softmax on old text, r/(1+r): mean by weight, and largest. 0 where
  /// weights are renormalised.
  double softmax_share_mean = 0, softmax_share_max = 0;
  double softmax_weight = 0;  ///< W, as it was in the end
};

struct RouterFit : RouterFitNumbers {
  at::Tensor rows_nD;  ///< float32
};

/// Minimises over the rows n_j, with z_j = n_j . u and y_j = t + m + (r_donor(j) . u - mean over
/// donors):
///   sum_j [ beta mean_old relu(m + z_j - t)^2 + mean_new relu(y_j - z_j)^2 + lambda tr(G)/D
///   |n_j|^2 ] + W mean_old log(1 + r),
/// G = mean_new(u u') + beta mean_old(u u'), r = sum_j exp(z_j) / Z. W is 0 where weights are
/// renormalised, and at first elsewhere, too. There a second search follows over what is common to
/// all rows, the differences between them kept: W rises from 1/epsilon, fourfold, until the mean of
/// r/(1+r) on old text is epsilon or less, or W has risen seven times. (Over all rows at once the W
/// term, which does not tell rows apart, makes them one: their distance falls as 1/W.) No bias:
/// none could be exported. float64 inside.
/// @param features let go of as they are converted. @throws NumericError when features or rows are
/// not finite.
RouterFit fit_router_rows(RouterFeatures features, const RouterFitOptions& options);

}  // namespace polygraft::expand
