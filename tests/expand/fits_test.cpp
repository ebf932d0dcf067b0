// tests/expand/fits_test.cpp: L-BFGS, the router fit and the head offset on synthetic features.
#include <catch2/catch.hpp>
#include <cmath>

#include "core/error.h"
#include "core/random.h"
#include "expand/head_offset.h"
#include "expand/lbfgs.h"
#include "expand/router_rows.h"
#include "expand/softmax_floor.h"

namespace polygraft::testing {

using namespace expand;  // NOLINT: the folder under test

namespace {

at::Tensor normal_tensor(at::IntArrayRef shape, const std::string& name) {
  RandomStream random(21, name);
  at::Tensor tensor = at::empty(shape, at::kDouble);
  double* const values = tensor.mutable_data_ptr<double>();
  for (int64_t i = 0; i < tensor.numel(); ++i) values[i] = random.normal();
  return tensor;
}

at::Tensor unchanged(const at::Tensor& gradient) { return gradient.clone(); }

/// 12 wide; old and new text differ by 3 along the first axis. A constant feature stands in for
/// what all text shares.
struct Separable {
  RouterFeatures features;
  Separable(int64_t num_new, int64_t num_old, int64_t num_donors) {
    at::Tensor u_new = normal_tensor({num_new, 12}, "new"),
               u_old = normal_tensor({num_old, 12}, "old");
    u_new.select(1, 0).add_(3);
    u_old.select(1, 0).sub_(3);
    u_new.select(1, 1).fill_(1);
    u_old.select(1, 1).fill_(1);
    features.new_input_ND = u_new;
    features.old_input_OD = u_old;
    features.new_threshold_N = normal_tensor({num_new}, "new threshold") * 0.3 + 1;
    features.old_threshold_O = normal_tensor({num_old}, "old threshold") * 0.3 + 1;
    features.new_donor_Nn = normal_tensor({num_new, num_donors}, "donors") * 0.2;
    features.old_weight_O = at::ones({num_old}, at::kDouble);
  }
};

/// The objective as the header states it, written again, without the fit's code.
double objective(const RouterFeatures& f, const RouterFitOptions& o, const at::Tensor& rows_nD,
                 double softmax_weight = 0) {
  const at::Tensor weight_O = f.old_weight_O / f.old_weight_O.sum();
  const at::Tensor target_Nn =
      f.new_threshold_N.unsqueeze(1) + o.margin + f.new_donor_Nn - f.new_donor_Nn.mean(1, true);
  const at::Tensor lack = at::relu(target_Nn - at::matmul(f.new_input_ND, rows_nD.t()));
  const at::Tensor old_score_On = at::matmul(f.old_input_OD, rows_nD.t());
  const at::Tensor excess = at::relu(o.margin + old_score_On - f.old_threshold_O.unsqueeze(1));
  double softmax_cost = 0;
  if (f.old_log_normalizer_O.defined()) {
    const at::Tensor r_O = at::exp(old_score_On).sum(1) / at::exp(f.old_log_normalizer_O);
    softmax_cost = softmax_weight * (at::log1p(r_O) * weight_O).sum().item<double>();
  }
  double trace = (f.new_input_ND.square().sum(1)).mean().item<double>() +
                 o.old_weight * (f.old_input_OD.square().sum(1) * weight_O).sum().item<double>();
  return softmax_cost + o.old_weight * (excess.square().sum(1) * weight_O).sum().item<double>() +
         lack.square().sum(1).mean().item<double>() +
         o.ridge * trace / static_cast<double>(rows_nD.size(1)) *
             rows_nD.square().sum().item<double>();
}

}  // namespace

TEST_CASE("L-BFGS reaches the minimum of a quadratic and of Rosenbrock's valley", "[expand]") {
  const at::Tensor root = normal_tensor({8, 8}, "root");
  const at::Tensor matrix = at::mm(root, root.t()) + at::eye(8, at::kDouble);
  const at::Tensor right = normal_tensor({8}, "right");
  const Objective quadratic = [&](const at::Tensor& x, at::Tensor& gradient) {
    gradient = at::mv(matrix, x) - right;
    return (x * (at::mv(matrix, x) * 0.5 - right)).sum().item<double>() + 100;
  };
  LbfgsOptions options;
  options.max_iterations = 200;
  options.relative_decrease = 1e-15;
  const LbfgsResult solved = minimize(quadratic, at::zeros({8}, at::kDouble), unchanged, options);
  CHECK(solved.converged);
  CHECK((at::mv(matrix, solved.x) - right).abs().max().item<double>() < 1e-4);

  const Objective valley = [](const at::Tensor& x, at::Tensor& gradient) {
    const double a = x[0].item<double>(), b = x[1].item<double>();
    gradient = at::tensor({-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)}, at::kDouble);
    return (1 - a) * (1 - a) + 100 * (b - a * a) * (b - a * a);
  };
  const LbfgsResult rosenbrock =
      minimize(valley, at::tensor({-1.2, 1.0}, at::kDouble), unchanged, options);
  CHECK(rosenbrock.x[0].item<double>() == Approx(1).margin(1e-4));
  CHECK(rosenbrock.x[1].item<double>() == Approx(1).margin(1e-4));
}

TEST_CASE("L-BFGS refuses an objective that is not finite at its start", "[expand]") {
  const Objective broken = [](const at::Tensor& x, at::Tensor& gradient) {
    gradient = at::zeros_like(x);
    return std::nan("");
  };
  CHECK_THROWS_AS(minimize(broken, at::zeros({2}, at::kDouble), unchanged, {}), NumericError);
}

TEST_CASE("fitted router rows win new features and lose old ones", "[expand][property]") {
  const Separable data(600, 900, 3);
  const RouterFitOptions options{.old_weight = 8};
  const RouterFit fit = fit_router_rows(data.features, options);
  CHECK(fit.rows_nD.sizes() == at::IntArrayRef({3, 12}));
  CHECK(fit.rows_nD.scalar_type() == at::kFloat);
  CHECK(fit.new_captured > 0.97);
  CHECK(fit.old_leaked < 0.005);
  CHECK(fit.iterations > 0);
  const RouterFitOptions one_step{.old_weight = 8, .max_iterations = 1};
  CHECK(fit.value < fit_router_rows(data.features, one_step).value);
  CHECK(fit.value == Approx(objective(data.features, options, fit.rows_nD.to(at::kDouble))));
}

TEST_CASE("without renormalised weights, fitted rows keep out of the softmax as well",
          "[expand][property]") {
  Separable data(600, 900, 3);
  const at::Tensor log_normalizer_O = data.features.old_threshold_O + 1.5;
  const auto share_of = [&](const RouterFit& fit) {
    const at::Tensor score_On =
        at::matmul(data.features.old_input_OD, fit.rows_nD.to(at::kDouble).t());
    const at::Tensor r_O = at::exp(score_On - log_normalizer_O.unsqueeze(1)).sum(1);
    return r_O / (1 + r_O);
  };
  const RouterFit loose = fit_router_rows(data.features, {});
  CHECK(loose.softmax_share_mean == 0);  // not asked for
  CHECK(share_of(loose).mean().item<double>() > 0.05);
  data.features.old_log_normalizer_O = log_normalizer_O;
  RouterFitOptions options;
  for (const double share : {1e-2, 1e-3, 1e-4}) {
    options.softmax_share = share;
    const RouterFit fit = fit_router_rows(data.features, options);
    INFO("share " << share << ", weight " << fit.softmax_weight);
    CHECK(fit.value == Approx(objective(data.features, options, fit.rows_nD.to(at::kDouble),
                                        fit.softmax_weight)));
    CHECK(fit.softmax_share_mean == Approx(share_of(fit).mean().item<double>()).epsilon(1e-3));
    CHECK(fit.softmax_share_max == Approx(share_of(fit).max().item<double>()).epsilon(1e-3));
    CHECK(fit.softmax_share_mean <= share);
    CHECK(fit.new_captured > 0.8);
  }
}

TEST_CASE("keeping out of the softmax does not make one row of several", "[expand][property]") {
  Separable data(600, 900, 2);
  data.features.new_donor_Nn = at::stack(
      {data.features.new_input_ND.select(1, 2), -data.features.new_input_ND.select(1, 2)}, 1);
  const auto apart = [&](const RouterFit& fit) { return fit.rows_nD[0] - fit.rows_nD[1]; };
  const RouterFit loose = fit_router_rows(data.features, {});
  data.features.old_log_normalizer_O = data.features.old_threshold_O + 1.5;
  RouterFitOptions options;
  options.softmax_share = 1e-5;
  const RouterFit held = fit_router_rows(data.features, options);
  CHECK(held.softmax_weight > 0);
  CHECK(apart(loose).norm().item<double>() > 0.4);
  CHECK((apart(held) - apart(loose)).abs().max().item<double>() < 1e-4);
}

TEST_CASE("no rows take less of the softmax than the floor", "[expand][property]") {
  const at::Tensor input = normal_tensor({900, 5}, "around the origin");
  const at::Tensor log_z = normal_tensor({900}, "log Z") * 0.2 + 1.5;
  const auto lost = [&](const at::Tensor& rows_nD) {
    const at::Tensor score = at::logsumexp(at::mm(input, rows_nD.t()), 1) - log_z;
    return at::log1p(at::exp(score)).mean().item<double>();
  };
  const double one = softmax_floor(input, log_z, 1), three = softmax_floor(input, log_z, 3);
  CHECK(one > 0.05);
  CHECK(three > one);
  double least = lost(at::zeros({3, 5}, at::kDouble));
  for (int i = 0; i < 200; ++i) {
    const at::Tensor rows = normal_tensor({3, 5}, "rows " + std::to_string(i)) * (0.01 * i);
    least = std::min(least, lost(rows));
  }
  CHECK(three <= least);
  Separable data(600, 900, 3);
  CHECK(softmax_floor(data.features.old_input_OD, data.features.old_threshold_O + 1.5, 3) < 1e-6);
  // What the fit reaches on inputs that no row can tell apart from the origin.
  data.features.old_input_OD = at::cat({input, at::zeros({900, 7}, at::kDouble)}, 1);
  data.features.old_log_normalizer_O = log_z;
  RouterFitOptions options;
  options.softmax_share = 1e-9;
  const double reached =
      lost(fit_router_rows(data.features, options).rows_nD.to(at::kDouble).narrow(1, 0, 5));
  CHECK(reached >= three);
  CHECK(reached < 1.3 * three);
}

TEST_CASE("the fit is the minimum: every step away from it costs", "[expand][property]") {
  const Separable data(200, 300, 2);
  RouterFitOptions options;
  options.max_iterations = 500;
  const RouterFit fit = fit_router_rows(data.features, options);
  const at::Tensor best = fit.rows_nD.to(at::kDouble);
  for (int i = 0; i < 20; ++i) {
    const at::Tensor step = normal_tensor({2, 12}, "step " + std::to_string(i));
    CHECK(objective(data.features, options, best + step * 0.01) > fit.value);
  }
}

TEST_CASE("donors spread the rows: each follows its donor's scores", "[expand]") {
  Separable data(600, 900, 2);
  // Donor 0 likes axis 2, donor 1 dislikes it.
  data.features.new_donor_Nn = at::stack(
      {data.features.new_input_ND.select(1, 2), -data.features.new_input_ND.select(1, 2)}, 1);
  const RouterFit fit = fit_router_rows(data.features, {});
  CHECK(fit.rows_nD[0][2].item<float>() > 0.2);
  CHECK(fit.rows_nD[1][2].item<float>() < -0.2);
}

TEST_CASE("weight on a position keeps new experts away from it", "[expand]") {
  Separable data(400, 400, 1);
  // An old token in the midst of new features, as the first position of a document is.
  data.features.old_input_OD[0].copy_(data.features.new_input_ND.mean(0));
  data.features.old_threshold_O[0] = 1.0;
  const auto score = [&](double weight) {
    data.features.old_weight_O[0] = weight;
    const RouterFit fit = fit_router_rows(data.features, {});
    return at::dot(fit.rows_nD[0].to(at::kDouble), data.features.old_input_OD[0]).item<double>();
  };
  CHECK(score(1) > 1.0);
  CHECK(score(200) < score(1) - 0.2);
}

TEST_CASE("the fit does not depend on the run, and refuses what is not finite", "[expand]") {
  Separable data(100, 100, 2);
  const RouterFit first = fit_router_rows(data.features, {});
  CHECK(at::equal(first.rows_nD, fit_router_rows(data.features, {}).rows_nD));
  data.features.new_input_ND[3][4] = std::nan("");
  CHECK_THROWS_AS(fit_router_rows(data.features, {}), NumericError);
}

TEST_CASE("the head offset lowers old contexts by the margin and spares new ones", "[expand]") {
  const Separable data(500, 500, 1);
  const at::Tensor& new_h = data.features.new_input_ND;
  const at::Tensor& old_h = data.features.old_input_OD;
  const HeadOffsetOptions options;
  const at::Tensor w = head_offset(new_h, old_h, options).to(at::kDouble);
  const double on_old = at::mv(old_h, w).mean().item<double>();
  const double on_new = at::mv(new_h, w).mean().item<double>();
  CHECK(on_old < -0.8 * options.margin);
  CHECK(std::abs(on_new) < 0.2 * options.margin);
  // Stationary point of beta mean_old (w.h + M)^2 + mean_new (w.h)^2 + ridge |w|^2, differentiated
  // by hand.
  const double trace = new_h.square().sum(1).mean().item<double>() +
                       options.old_weight * old_h.square().sum(1).mean().item<double>();
  const at::Tensor gradient =
      at::mv(old_h.t(), at::mv(old_h, w) + options.margin) * (options.old_weight / 500) +
      at::mv(new_h.t(), at::mv(new_h, w)) / 500 + w * (options.ridge * trace / 12);
  CHECK(gradient.abs().max().item<double>() < 1e-4);
  at::Tensor broken = old_h.clone();
  broken[0][0] = std::numeric_limits<double>::infinity();
  CHECK_THROWS_AS(head_offset(new_h, broken, options), NumericError);
}

}  // namespace polygraft::testing
