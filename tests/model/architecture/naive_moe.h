// tests/model/architecture/naive_moe.h: the MoE layer and the losses as their definitions read, in
// float64 under autograd, token by token and expert by expert: slow, and with nothing in common
// with the code under test.
#pragma once
#include <ATen/ATen.h>

#include "model/architecture/moe_layer.h"

namespace polygraft::testing {

/// Everything float64; requires_grad as in the original.
inline at::Tensor to_reference(const at::Tensor& tensor) {
  if (!tensor.defined()) return tensor;
  return tensor.detach().to(at::kDouble).clone().set_requires_grad(tensor.requires_grad());
}

inline at::Tensor all_rows(const model::SplitRows& split) {
  return split.added.defined() ? at::cat({split.base, split.added}) : split.base;
}

/// Vocabulary rows one by one, as the stored matrix has them.
inline at::Tensor stored_rows(const model::SplitRows& split) {
  const int64_t first_added = split.num_base() - split.placement.num_spare;
  const int64_t end_added = first_added + split.num_added();
  const int64_t end = std::max(split.num_base(), end_added);
  std::vector<at::Tensor> rows;
  for (int64_t id = 0; id < end + split.placement.num_padding; ++id) {
    if (id >= end) {
      rows.push_back(split.base[split.placement.padding_row]);
    } else if (id >= first_added && id < end_added) {
      rows.push_back(split.added[id - first_added]);
    } else {
      rows.push_back(split.base[id]);
    }
  }
  return at::stack(rows);
}

/// sum_k weight[t,k] * down_e(silu(gate_e x_t) * up_e x_t), e = expert[t,k]; experts from
/// `first_silent` on give zero.
inline at::Tensor naive_moe(const at::Tensor& x_TD, const at::Tensor& weight_TK,
                            const at::Tensor& expert_TK, const at::Tensor& gate_up_EGD,
                            const at::Tensor& down_EDF, int64_t first_silent) {
  const int64_t width = down_EDF.size(2);
  std::vector<at::Tensor> tokens;
  for (int64_t t = 0; t < x_TD.size(0); ++t) {
    auto y_D = at::zeros({x_TD.size(1)}, at::kDouble);
    for (int64_t k = 0; k < expert_TK.size(1); ++k) {
      const int64_t e = expert_TK[t][k].item<int64_t>();
      if (e >= first_silent) continue;
      const auto gate_up_G = at::mv(gate_up_EGD[e], x_TD[t]);
      const auto gate_F = gate_up_G.narrow(0, 0, width), up_F = gate_up_G.narrow(0, width, width);
      y_D = y_D + weight_TK[t][k] * at::mv(down_EDF[e], gate_F * at::sigmoid(gate_F) * up_F);
    }
    tokens.push_back(y_D);
  }
  return at::stack(tokens);
}

/// Softmax over all scores, the K largest (lower id first among equals), divided by their sum if
/// asked.
inline model::Routing naive_route(const at::Tensor& scores_TE, model::RouterRule rule) {
  const auto p_TE = at::softmax(scores_TE, 1);
  const auto sorted_TE =
      std::get<1>(at::sort(scores_TE.detach(), /*stable=*/true, 1, /*descending=*/true));
  model::Routing routing;
  routing.expert_TK = sorted_TE.narrow(1, 0, rule.top_k).contiguous();
  routing.weight_TK = at::gather(p_TE, 1, routing.expert_TK);
  if (rule.renormalize) routing.weight_TK = routing.weight_TK / routing.weight_TK.sum(1, true);
  return routing;
}

}  // namespace polygraft::testing
