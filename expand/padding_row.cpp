// expand/padding_row.cpp: see padding_row.h. Legend: C tokens of a chunk, V vocabulary rows.
#include "expand/padding_row.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "model/architecture/linear_product.h"

namespace polygraft::expand {

int64_t least_probable_row(const at::Tensor& hidden_TD, const at::Tensor& head_VD,
                           int64_t num_tokens) {
  constexpr int64_t kChunkTokens = 64;  // logits of a large vocabulary: some 40 MiB
  const at::NoGradGuard no_grad;
  auto sum_V = at::zeros({head_VD.size(0)}, at::kDouble);
  for (int64_t first = 0; first < hidden_TD.size(0); first += kChunkTokens) {
    const int64_t count = std::min(kChunkTokens, hidden_TD.size(0) - first);
    const auto logits_CV = model::linear_product(hidden_TD.narrow(0, first, count), head_VD);
    sum_V += at::softmax(logits_CV.to(at::kFloat), 1).sum(0, false, at::kDouble);
  }
  const double* const sums = sum_V.const_data_ptr<double>();
  return std::min_element(sums, sums + num_tokens) - sums;
}

}  // namespace polygraft::expand
