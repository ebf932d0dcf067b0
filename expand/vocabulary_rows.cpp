// expand/vocabulary_rows.cpp: see vocabulary_rows.h.
#include "expand/vocabulary_rows.h"

#include <ATen/core/grad_mode.h>

namespace polygraft::expand {

namespace {

using tokenizer::TokenId;

/// The rows of a new token's parts, float64 [parts, D].
at::Tensor part_rows(const at::Tensor& rows_VD, const std::vector<TokenId>& leaves) {
  const std::vector<int64_t> ids(leaves.begin(), leaves.end());
  return rows_VD.index_select(0, at::tensor(ids, at::kLong)).to(at::kDouble);
}

}  // namespace

at::Tensor mean_rows(const at::Tensor& rows_VD, const TokenParts& parts) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> means;
  for (const auto& leaves : parts) {
    means.push_back(part_rows(rows_VD, leaves).mean(0).to(at::kFloat));
  }
  return at::stack(means);
}

at::Tensor norm_mean_rows(const at::Tensor& rows_VD, const TokenParts& parts) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> means;
  for (const auto& leaves : parts) {
    const at::Tensor part_PD = part_rows(rows_VD, leaves);
    const at::Tensor mean_D = part_PD.mean(0);
    const double norm = mean_D.norm().item<double>();
    const double wanted = part_PD.norm(2, 1).mean().item<double>();
    means.push_back((norm > 0 ? mean_D * (wanted / norm) : mean_D).to(at::kFloat));
  }
  return at::stack(means);
}

}  // namespace polygraft::expand
