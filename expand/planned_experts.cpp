// expand/planned_experts.cpp: see planned_experts.h.
#include "expand/planned_experts.h"

#include "core/text.h"

namespace polygraft::expand {

PlannedExperts::PlannedExperts(model::Transformer base, const ExpansionPlan& plan)
    : base_(std::move(base)), seed_(plan.seed), reinit_ratio_(plan.experts.reinit_ratio) {
  for (const LayerPlan& layer : plan.layers) donors_[layer.layer] = layer.donors;
}

Expert PlannedExperts::operator()(int64_t layer, int64_t j) {
  if (std::pair(layer, j) == made_) return expert_;
  const model::MoeWeights& moe = base_.weights().layers.at(static_cast<size_t>(layer)).moe;
  const int64_t donor = donors_.at(layer).at(static_cast<size_t>(j)).expert;
  const at::ScalarType dtype = base_.weights().compute_dtype();
  expert_ = {};  // not two at once
  expert_ = clone_expert({moe.gate_up.row(donor, dtype), moe.down.row(donor, dtype)}, reinit_ratio_,
                         RandomStream(seed_, concat("layers.", layer, ".expert.", j)));
  made_ = {layer, j};
  return expert_;
}

}  // namespace polygraft::expand
