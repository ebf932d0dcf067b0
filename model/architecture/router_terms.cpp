// model/architecture/router_terms.cpp: see router_terms.h.
#include "model/architecture/router_terms.h"

#include "model/architecture/linear_product.h"
#include "model/architecture/upload.h"

namespace polygraft::model {
namespace {

void add_load_balance(const RouterScores& scores, const RouterTerms& terms, Routing& routing) {
  const int64_t count = terms.num_balanced;
  const at::Tensor expert_TK = routing.expert_TK.narrow(0, 0, count);
  if (terms.balance_base) {
    const at::Tensor scores_TN =
        scores.added_Tn.defined() ? at::cat({scores.base_TE, scores.added_Tn}, 1) : scores.base_TE;
    routing.load_balance = load_balance_loss(scores_TN.narrow(0, 0, count), expert_TK, 0);
  } else if (scores.added_Tn.defined()) {
    routing.load_balance =
        load_balance_loss(scores.added_Tn.narrow(0, 0, count), expert_TK, scores.base_TE.size(1));
  }
}

}  // namespace

RouterTerms RouterTerms::on(at::Device device) const {
  RouterTerms moved = *this;
  if (prior_weight_T.defined()) moved.prior_weight_T = sent_to(device, prior_weight_T);
  return moved;
}

at::Tensor scores_of_rows(const at::Tensor& input_TD, const at::Tensor& added_rows_nD) {
  return added_product(input_TD.detach(), added_rows_nD).to(at::kFloat);
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

void add_terms(const RouterScores& scores, const RouterTerms& terms, Routing& routing) {
  if (terms.num_balanced > 0) add_load_balance(scores, terms, routing);
  if (!terms.prior_weight_T.defined() || !scores.added_Tn.defined()) return;
  routing.prior_sum =
      prior_sum(scores.base_TE.detach(), scores_of_rows(scores.input_TD, scores.added_rows_nD),
                terms.prior_weight_T);
}

}  // namespace polygraft::model
