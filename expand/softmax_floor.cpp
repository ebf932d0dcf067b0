// expand/softmax_floor.cpp: see softmax_floor.h.
#include "expand/softmax_floor.h"

#include <algorithm>
#include <cmath>

#include "expand/lbfgs.h"

namespace polygraft::expand {

namespace {

/// Fewer tokens than a multiple of the width are told apart by chance alone (Cover 1965: up to
/// twice as many points as dimensions lie on one side of some plane), which says nothing of other
/// text.
constexpr int64_t kTokensPerDimension = 4;
constexpr int64_t kLeastTokens = 4096;

int64_t most_tokens(int64_t width) { return std::max(kLeastTokens, kTokensPerDimension * width); }

/// The Hessian's bound at r = 1, where log(1 + r) is most curved: u u' / 4.
at::Tensor factor_moment(const at::Tensor& input_TD) {
  const int64_t width = input_TD.size(1);
  const at::Tensor moment_DD =
      at::mm(input_TD.t(), input_TD) / (4.0 * static_cast<double>(input_TD.size(0)));
  const double ridge = 1e-6 * moment_DD.trace().item<double>() / static_cast<double>(width);
  return std::get<0>(
      at::linalg_cholesky_ex(moment_DD + at::eye(width, at::kDouble) * std::max(ridge, 1e-30)));
}

}  // namespace

double softmax_floor(const at::Tensor& input_TD, const at::Tensor& log_normalizer_T,
                     int64_t num_rows) {
  const at::NoGradGuard no_grad;
  const at::Tensor inputs = input_TD.to(at::kDouble);
  const at::Tensor offset_T =
      std::log(static_cast<double>(num_rows)) - log_normalizer_T.to(at::kDouble);
  const auto count = static_cast<double>(inputs.size(0));
  const Objective lost = [&](const at::Tensor& row_D, at::Tensor& gradient_D) {
    const at::Tensor log_r_T = at::mv(inputs, row_D) + offset_T;
    gradient_D = at::mv(inputs.t(), at::sigmoid(log_r_T)) / count;
    return at::logaddexp(log_r_T, at::zeros_like(log_r_T)).mean().item<double>();
  };
  const at::Tensor factor_DD = factor_moment(inputs);
  const Preconditioner precondition = [&](const at::Tensor& gradient_D) {
    return at::cholesky_solve(gradient_D.unsqueeze(1), factor_DD).squeeze(1);
  };
  LbfgsOptions options;
  options.max_iterations = 200;
  const LbfgsResult result =
      minimize(lost, at::zeros({inputs.size(1)}, at::kDouble), precondition, options);
  return result.converged ? result.value : 0.0;
}

void SoftmaxFloors::tap(const model::RouterTap& tap) {
  if (tap.layer != layer_) {
    close_layer();
    layer_ = tap.layer;
  }
  const int64_t wanted = most_tokens(tap.input_TD.size(1)) - num_held_;
  // A text of several passes comes to a layer again; its first pass is enough.
  if (wanted <= 0 || floors_.count(layer_) > 0) return;
  const int64_t taken = std::min(wanted, tap.input_TD.size(0));
  input_TD_.push_back(tap.input_TD.narrow(0, 0, taken).to(at::kFloat));
  log_normalizer_T_.push_back(at::logsumexp(tap.base_TE.narrow(0, 0, taken), 1));
  num_held_ += taken;
}

void SoftmaxFloors::close_layer() {
  if (num_held_ == 0) return;
  const at::Tensor input_TD = at::cat(input_TD_), log_normalizer_T = at::cat(log_normalizer_T_);
  const bool enough = num_held_ >= 2 * input_TD.size(1);
  std::vector<double>& floors = floors_[layer_];
  for (int64_t rows = 1; rows <= num_experts_; rows *= 2) {
    floors.push_back(enough ? softmax_floor(input_TD, log_normalizer_T, rows) : 0.0);
  }
  num_held_ = 0;
  input_TD_.clear();
  log_normalizer_T_.clear();
}

std::map<int64_t, std::vector<double>> SoftmaxFloors::finish() {
  close_layer();
  return std::move(floors_);
}

}  // namespace polygraft::expand
