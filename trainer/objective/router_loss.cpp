// trainer/objective/router_loss.cpp: see router_loss.h.
#include "trainer/objective/router_loss.h"

#include <algorithm>

namespace polygraft::trainer {
namespace {
constexpr int64_t kCapturedScores = 4;
}

at::Tensor selection_threshold(const at::Tensor& base_TE, int64_t top_k) {
  const auto [largest_TK, ids_TK] =
      base_TE.topk(top_k, /*dim=*/1, /*largest=*/true, /*sorted=*/true);
  return largest_TK.select(1, top_k - 1);
}

at::Tensor keep_out_sum(const at::Tensor& added_Tn, const at::Tensor& threshold_T,
                        const at::Tensor& weight_T, double margin) {
  const at::Tensor excess_Tn = (added_Tn - threshold_T.unsqueeze(1) + margin).relu();
  return (excess_Tn.square().sum(1) * weight_T).sum();
}

at::Tensor capture_sum(const at::Tensor& added_Tn, const at::Tensor& threshold_T,
                       const at::Tensor& weight_T, double margin) {
  const int64_t num_wanted = std::min(kCapturedScores, added_Tn.size(1));
  const at::Tensor highest_Tw = std::get<0>(added_Tn.topk(num_wanted, /*dim=*/1));
  const at::Tensor lacking_Tw = (threshold_T.unsqueeze(1) - highest_Tw + margin).relu();
  return (lacking_Tw.square().mean(1) * weight_T).sum();
}

at::Tensor prior_sum(const at::Tensor& base_TE, const at::Tensor& added_Tn,
                     const at::Tensor& weight_T) {
  const at::Tensor base_T = at::logsumexp(base_TE, {1});
  const at::Tensor all_T = at::logaddexp(base_T, at::logsumexp(added_Tn, {1}));
  return ((all_T - base_T) * weight_T).sum();
}

at::Tensor load_balance_loss(const at::Tensor& scores_TN, const at::Tensor& expert_TK,
                             int64_t first_expert) {
  const int64_t num_experts = scores_TN.size(1);
  const at::Tensor ids = expert_TK.detach().flatten() - first_expert;
  const at::Tensor is_other = ids.lt(0).logical_or(ids.ge(num_experts));
  const at::Tensor place = ids.masked_fill(is_other, num_experts);  // behind the group's
  const at::Tensor choices_N = at::zeros({num_experts + 1}, ids.options())
                                   .scatter_add_(0, place, at::ones_like(place))
                                   .narrow(0, 0, num_experts)
                                   .to(scores_TN.scalar_type());
  const at::Tensor share_N = choices_N / choices_N.sum().clamp_min(1);
  const at::Tensor probability_N = at::softmax(scores_TN, 1).mean(0);
  return (share_N * probability_N).sum() * static_cast<double>(num_experts);
}

}  // namespace polygraft::trainer
