// trainer/objective/router_collector.h: gathers router losses over the layers of one forward pass.
// Legend: T tokens, D model width, E base experts, n added experts.
#pragma once
#include <ATen/ATen.h>

#include "model/architecture/transformer.h"
#include "trainer/objective/router_loss.h"

namespace polygraft::trainer {

/// Which tokens of the batch count for which loss. Undefined weights: the loss is not wanted.
struct RouterLossTokens {
  at::Tensor capture_weight_T;   ///< float32; 0 where a token is not to be captured
  at::Tensor keep_out_weight_T;  ///< float32; 0 where a token is not protected
  double margin = 0;

  /// The same with the weights where the model is.
  RouterLossTokens on(at::Device device) const;
};

/// Computes hinges and capture from what a layer's router saw; language prior and load balance the
/// layer has computed, where the pass was asked for them (model/architecture/router_terms.h).
class RouterCollector {
 public:
  RouterCollector(const model::Transformer& transformer, RouterLossTokens tokens)
      : transformer_(transformer), tokens_(std::move(tokens)) {}

  /// Valid as long as this object lives.
  model::RouterObserver observer();

  // Averaged over the layers that contributed; undefined when none did.
  at::Tensor capture_sum() const { return mean_over_layers(capture_); }
  at::Tensor keep_out_sum() const { return mean_over_layers(keep_out_); }
  at::Tensor prior_sum() const { return mean_over_layers(prior_); }
  at::Tensor load_balance() const { return mean_over_layers(load_balance_); }

 private:
  void tap(const model::RouterTap& tap);
  static at::Tensor mean_over_layers(const std::vector<at::Tensor>& terms);

  const model::Transformer& transformer_;
  RouterLossTokens tokens_;
  std::vector<at::Tensor> capture_, keep_out_, prior_, load_balance_;
};

}  // namespace polygraft::trainer
