// expand/router_rows.cpp: the discriminant fit of RouterFeatures.
#include "expand/router_rows.h"

#include <ATen/core/grad_mode.h>

#include "core/error.h"
#include "expand/lbfgs.h"

namespace polygraft::expand {

namespace {

/// The fit's quantities in float64, targets and normalised weights included.
struct Problem {
  at::Tensor new_ND, new_target_Nn, new_threshold_N1;
  at::Tensor old_OD, old_weight_O1;  // weights sum to 1
  at::Tensor old_threshold_O1;
  at::Tensor old_log_normalizer_O1;  // undefined where weights are renormalised
  double margin = 0, beta = 0;
  double softmax_weight = 0;  // W
  double penalty = 0;         // lambda tr(G) / D
  at::Tensor ridge_factor;    // Cholesky factor of G + penalty I

  Problem(RouterFeatures features, const RouterFitOptions& options);
  at::Tensor solve_ridge(const at::Tensor& right_nD) const {
    return at::cholesky_solve(right_nD.t(), ridge_factor).t().contiguous();
  }
  at::Tensor ridge_start() const;
  double value(const at::Tensor& rows_nD, at::Tensor& gradient_nD) const;
  double add_softmax_cost(const at::Tensor& old_score_On, at::Tensor& gradient_nD) const;
};

at::Tensor factor_ridge(const at::Tensor& matrix_DD) {
  auto [factor, info] = at::linalg_cholesky_ex(matrix_DD);
  if (info.item<int>() != 0 || !at::isfinite(factor).all().item<bool>()) {
    throw NumericError("router rows", "the features' second moment is not positive definite")
        .hint("the base's router inputs are not finite or all zero; raise router_ridge otherwise");
  }
  return factor;
}

/// The tensor in float64, and no longer in float32.
at::Tensor take_double(at::Tensor& tensor) {
  at::Tensor converted = tensor.to(at::kDouble);
  tensor.reset();
  return converted;
}

Problem::Problem(RouterFeatures features, const RouterFitOptions& options)
    : margin(options.margin), beta(options.old_weight) {
  old_OD = take_double(features.old_input_OD);
  old_threshold_O1 = features.old_threshold_O.to(at::kDouble).unsqueeze(1);
  if (features.old_log_normalizer_O.defined()) {
    old_log_normalizer_O1 = features.old_log_normalizer_O.to(at::kDouble).unsqueeze(1);
  }
  const at::Tensor weight_O1 = features.old_weight_O.to(at::kDouble).unsqueeze(1);
  old_weight_O1 = weight_O1 / weight_O1.sum();
  const at::Tensor old_moment_DD = at::mm((old_OD * old_weight_O1).t(), old_OD) * beta;
  new_ND = take_double(features.new_input_ND);  // after the weighted copy of old_OD has gone
  new_threshold_N1 = features.new_threshold_N.to(at::kDouble).unsqueeze(1);
  const at::Tensor donor_Nn = features.new_donor_Nn.to(at::kDouble);
  new_target_Nn = new_threshold_N1 + margin + (donor_Nn - donor_Nn.mean(1, /*keepdim=*/true));
  const at::Tensor moment_DD =
      at::mm(new_ND.t(), new_ND) / static_cast<double>(new_ND.size(0)) + old_moment_DD;
  const auto width = static_cast<double>(moment_DD.size(0));
  penalty = options.ridge * moment_DD.trace().item<double>() / width;
  ridge_factor = factor_ridge(moment_DD + at::eye(moment_DD.size(0), at::kDouble) * penalty);
}

/// Least squares on the targets themselves, y_j on new text and t - m on old.
at::Tensor Problem::ridge_start() const {
  const at::Tensor pull_nD =
      at::mm(new_target_Nn.t(), new_ND) / static_cast<double>(new_ND.size(0));
  const at::Tensor push_1D = at::mm(((old_threshold_O1 - margin) * old_weight_O1).t(), old_OD);
  return solve_ridge(pull_nD + push_1D * beta);
}

/// log(1 + r) of each old token: what the old weights lose, in nats.
at::Tensor softmax_loss(const at::Tensor& old_score_On, const at::Tensor& log_normalizer_O1) {
  const at::Tensor log_r_O1 = at::logsumexp(old_score_On, 1, true) - log_normalizer_O1;
  return at::logaddexp(log_r_O1, at::zeros_like(log_r_O1));
}

/// W mean_old log(1 + r); its derivative by z_j is what expert j takes of the softmax.
double Problem::add_softmax_cost(const at::Tensor& old_score_On, at::Tensor& gradient_nD) const {
  const at::Tensor loss_O1 = softmax_loss(old_score_On, old_log_normalizer_O1);
  const at::Tensor taken_On = at::exp(old_score_On - old_log_normalizer_O1 - loss_O1);
  gradient_nD += at::mm((taken_On * old_weight_O1).t(), old_OD) * softmax_weight;
  return softmax_weight * (loss_O1 * old_weight_O1).sum().item<double>();
}

double Problem::value(const at::Tensor& rows_nD, at::Tensor& gradient_nD) const {
  const auto num_new = static_cast<double>(new_ND.size(0));
  const at::Tensor lack_Nn = at::relu(new_target_Nn - at::mm(new_ND, rows_nD.t()));
  const at::Tensor old_score_On = at::mm(old_OD, rows_nD.t());
  const at::Tensor excess_On = at::relu(old_score_On + margin - old_threshold_O1);
  const at::Tensor weighted_On = excess_On * old_weight_O1;
  gradient_nD = at::mm(weighted_On.t(), old_OD) * (2 * beta) -
                at::mm(lack_Nn.t(), new_ND) * (2 / num_new) + rows_nD * (2 * penalty);
  const double softmax_cost = softmax_weight > 0 ? add_softmax_cost(old_score_On, gradient_nD) : 0;
  return softmax_cost + beta * (weighted_On * excess_On).sum().item<double>() +
         (lack_Nn * lack_Nn).sum().item<double>() / num_new +
         penalty * (rows_nD * rows_nD).sum().item<double>();
}

void measure(const Problem& problem, RouterFit& fit) {
  const at::Tensor rows_Dn = fit.rows_nD.to(at::kDouble).t();
  const at::Tensor won_N =
      at::mm(problem.new_ND, rows_Dn).amax(1) > problem.new_threshold_N1.squeeze(1);
  const at::Tensor old_score_On = at::mm(problem.old_OD, rows_Dn);
  const at::Tensor lost_O = old_score_On.amax(1) > problem.old_threshold_O1.squeeze(1);
  fit.new_captured = won_N.to(at::kDouble).mean().item<double>();
  fit.old_leaked = (lost_O.to(at::kDouble) * problem.old_weight_O1.squeeze(1)).sum().item<double>();
  if (!problem.old_log_normalizer_O1.defined()) return;
  const at::Tensor share_O1 =
      1 - at::exp(-softmax_loss(old_score_On, problem.old_log_normalizer_O1));
  fit.softmax_share_mean = (share_O1 * problem.old_weight_O1).sum().item<double>();
  fit.softmax_share_max = share_O1.max().item<double>();
}

}  // namespace

namespace {

/// Rows = fixed + common, one minimisation over `common` ([n, D]: each row its own; [1, D]: one
/// shift of all), with the problem's W as it is.
RouterFit fit_from(const Problem& problem, const at::Tensor& fixed_nD, const at::Tensor& common,
                   int64_t max_iterations) {
  const bool shared = common.size(0) < fixed_nD.size(0);
  const Objective objective = [&](const at::Tensor& shift, at::Tensor& gradient) {
    const double value = problem.value(fixed_nD + shift, gradient);
    if (shared) gradient = gradient.sum(0, /*keepdim=*/true);
    return value;
  };
  // The Hessian where every hinge is active; of a shared shift, as often as there are rows.
  const double curvature = shared ? 2.0 * static_cast<double>(fixed_nD.size(0)) : 2.0;
  const Preconditioner precondition = [&](const at::Tensor& gradient) {
    return problem.solve_ridge(gradient).div_(curvature);
  };
  LbfgsOptions lbfgs;
  lbfgs.max_iterations = max_iterations;
  const LbfgsResult result = minimize(objective, common, precondition, lbfgs);
  RouterFit fit;
  fit.rows_nD = (fixed_nD + result.x).to(at::kFloat);
  fit.value = result.value;
  fit.iterations = result.iterations;
  if (!at::isfinite(fit.rows_nD).all().item<bool>()) {
    throw NumericError("router rows", "the fit gave rows that are not finite");
  }
  fit.softmax_weight = problem.softmax_weight;
  measure(problem, fit);
  return fit;
}

}  // namespace

RouterFit fit_router_rows(RouterFeatures features, const RouterFitOptions& options) {
  constexpr int kMostRises = 7;
  constexpr double kRise = 4.0;
  const at::NoGradGuard no_grad;
  Problem problem(std::move(features), options);
  const at::Tensor start_nD = problem.ridge_start();
  RouterFit fit = fit_from(problem, at::zeros_like(start_nD), start_nD, options.max_iterations);
  problem.softmax_weight = 1 / options.softmax_share;
  for (int i = 0; i <= kMostRises && fit.softmax_share_mean > options.softmax_share; ++i) {
    const at::Tensor rows_nD = fit.rows_nD.to(at::kDouble);
    const at::Tensor mean_1D = rows_nD.mean(0, /*keepdim=*/true);
    const int64_t iterations = fit.iterations;
    fit = fit_from(problem, rows_nD - mean_1D, mean_1D, options.max_iterations);
    fit.iterations += iterations;
    problem.softmax_weight *= kRise;
  }
  return fit;
}

}  // namespace polygraft::expand
