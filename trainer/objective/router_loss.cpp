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

}  // namespace polygraft::trainer
