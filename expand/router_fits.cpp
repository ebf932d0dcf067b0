// expand/router_fits.cpp: see router_fits.h.
#include "expand/router_fits.h"

#include "core/log.h"
#include "core/text.h"
#include "expand/router_rows.h"
#include "model/architecture/tensor_bytes.h"

namespace polygraft::expand {
namespace {

/// @param texts what the layer's router saw of the old text and of the new.
RouterFit fit_rows(const model::ModelConfig& base, const ExpertConfig& config,
                   std::vector<LayerFeatures> texts) {
  LayerFeatures &old_text = texts[0], &new_text = texts[1];
  const at::Tensor later = at::nonzero(~new_text.first_T).squeeze(1);
  for (at::Tensor* part : {&new_text.input_TD, &new_text.threshold_T, &new_text.donor_Tn}) {
    *part = part->index_select(0, later);
  }
  RouterFeatures features{std::move(new_text.input_TD),
                          std::move(new_text.threshold_T),
                          std::move(new_text.donor_Tn),
                          std::move(old_text.input_TD),
                          std::move(old_text.threshold_T),
                          {},
                          {}};
  if (!base.renormalize_top_k) features.old_log_normalizer_O = old_text.log_normalizer_T;
  features.old_weight_O = 1 + old_text.first_T.to(at::kDouble) * (config.bos_weight - 1);
  return fit_router_rows(std::move(features),
                         {config.router_margin, config.router_old_weight, config.router_ridge,
                          config.router_iterations, config.router_softmax_share});
}

void report(const model::ModelConfig& base, const LayerPlan& layer, const RouterFit& fit) {
  log_info(concat("layer ", layer.layer, ": new experts win ", fixed(100 * fit.new_captured, 1),
                  " % of new tokens and ", fixed(100 * fit.old_leaked, 2),
                  " % of old ones by weight (", fit.iterations, " iterations)"));
  if (base.renormalize_top_k) return;
  log_info(concat("layer ", layer.layer, ": new experts take ",
                  fixed(100 * fit.softmax_share_mean, 3), " % of the softmax on old text, at most ",
                  fixed(100 * fit.softmax_share_max, 2), " %"));
}

}  // namespace

std::map<int64_t, at::Tensor> fit_routers(const model::ModelConfig& base,
                                          const ExpertConfig& config, std::vector<LayerView> layers,
                                          const parallel::Team& team) {
  std::vector<RouterFit> fits(layers.size());
  parallel::Deliveries deliveries(team);
  for (size_t i = 0; i < layers.size(); ++i) {
    const auto num_rows = static_cast<int64_t>(layers[i].plan->donors.size());
    fits[i] = layers[i].rank == team.rank()
                  ? fit_rows(base, config, std::move(layers[i].texts))
                  : RouterFit{{}, at::empty({num_rows, base.hidden_size})};
    RouterFitNumbers& numbers = fits[i];
    deliveries.to_all(layers[i].rank, std::as_writable_bytes(std::span(&numbers, 1)));
    deliveries.to_all(layers[i].rank, model::bytes_of(fits[i].rows_nD));
  }
  deliveries.wait();
  std::map<int64_t, at::Tensor> rows_by_layer;
  for (size_t i = 0; i < layers.size(); ++i) {
    rows_by_layer[layers[i].plan->layer] = fits[i].rows_nD;
    report(base, *layers[i].plan, fits[i]);
  }
  return rows_by_layer;
}

}  // namespace polygraft::expand
