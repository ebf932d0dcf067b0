// expand/head_offset.cpp: the closed form of head_offset.h.
#include "expand/head_offset.h"

#include <ATen/core/grad_mode.h>

#include "core/error.h"

namespace polygraft::expand {

namespace {

at::Tensor second_moment(const at::Tensor& hidden_TD) {
  return at::mm(hidden_TD.t(), hidden_TD) / static_cast<double>(hidden_TD.size(0));
}

}  // namespace

at::Tensor head_offset(const at::Tensor& new_hidden_ND, const at::Tensor& old_hidden_OD,
                       const HeadOffsetOptions& options) {
  const at::NoGradGuard no_grad;
  const at::Tensor old_OD = old_hidden_OD.to(at::kDouble);
  const at::Tensor moment_DD =
      second_moment(new_hidden_ND.to(at::kDouble)) + second_moment(old_OD) * options.old_weight;
  const int64_t width = moment_DD.size(0);
  const double penalty =
      options.ridge * moment_DD.trace().item<double>() / static_cast<double>(width);
  auto [factor, info] = at::linalg_cholesky_ex(moment_DD + at::eye(width, at::kDouble) * penalty);
  if (info.item<int>() != 0 || !at::isfinite(factor).all().item<bool>()) {
    throw NumericError("output rows", "the hidden states' second moment is not positive definite")
        .hint("the base's hidden states are not finite or all zero; raise head_ridge otherwise");
  }
  const at::Tensor mean_D1 = old_OD.mean(0).unsqueeze(1);
  const at::Tensor offset_D =
      at::cholesky_solve(mean_D1, factor).squeeze(1) * (-options.margin * options.old_weight);
  return offset_D.to(at::kFloat);
}

}  // namespace polygraft::expand
