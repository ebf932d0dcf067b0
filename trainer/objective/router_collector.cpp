// trainer/objective/router_collector.cpp: see router_collector.h.
#include "trainer/objective/router_collector.h"

#include <ATen/core/grad_mode.h>

#include "model/architecture/upload.h"
namespace polygraft::trainer {

RouterLossTokens RouterLossTokens::on(at::Device device) const {
  RouterLossTokens moved = *this;
  for (at::Tensor RouterLossTokens::*weights :
       {&RouterLossTokens::capture_weight_T, &RouterLossTokens::keep_out_weight_T}) {
    if ((moved.*weights).defined()) moved.*weights = model::sent_to(device, moved.*weights);
  }
  return moved;
}

model::RouterObserver RouterCollector::observer() {
  return [this](const model::RouterTap& tap) { this->tap(tap); };
}

void RouterCollector::tap(const model::RouterTap& tap) {
  if (tap.routing.load_balance.defined()) load_balance_.push_back(tap.routing.load_balance);
  if (tap.routing.prior_sum.defined()) prior_.push_back(tap.routing.prior_sum);
  if (!tap.added_Tn.defined()) return;
  const int64_t top_k = transformer_.config().top_k;
  if (tokens_.capture_weight_T.defined()) {
    capture_.push_back(trainer::capture_sum(tap.added_Tn, selection_threshold(tap.base_TE, top_k),
                                            tokens_.capture_weight_T, tokens_.margin));
  }
  if (tokens_.keep_out_weight_T.defined()) {
    const at::AutoGradMode with_grad(true);  // even inside a forward without
    const auto& weights = transformer_.weights().layers[static_cast<size_t>(tap.layer)];
    const at::Tensor& rows_nD = weights.moe.router.added;
    keep_out_.push_back(trainer::keep_out_sum(model::scores_of_rows(tap.input_TD, rows_nD),
                                              selection_threshold(tap.base_TE.detach(), top_k),
                                              tokens_.keep_out_weight_T, tokens_.margin));
  }
}

at::Tensor RouterCollector::mean_over_layers(const std::vector<at::Tensor>& terms) {
  if (terms.empty()) return {};
  return at::stack(terms).sum() / static_cast<double>(terms.size());
}

}  // namespace polygraft::trainer
