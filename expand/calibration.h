// expand/calibration.h: what the base's routers and head see of calibration text.
// Legend: T tokens, D model width, n new experts, K experts per token.
#pragma once
#include <ATen/ATen.h>

#include <functional>
#include <string>
#include <vector>

#include "expand/plan.h"
#include "expand/sequences.h"
#include "model/architecture/transformer.h"
#include "model/parallel/team.h"

namespace polygraft::expand {

/// One MoE layer's view of the text. float32.
struct LayerFeatures {
  at::Tensor input_TD;          ///< u, the router's input after the norm
  at::Tensor threshold_T;       ///< K-th largest score of the base's experts
  at::Tensor donor_Tn;          ///< scores of the layer's donors
  at::Tensor log_normalizer_T;  ///< log of the softmax's denominator over the base's experts
  at::Tensor first_T;           ///< as in CalibrationFeatures
};

/// What the head saw of a text.
struct CalibrationFeatures {
  at::Tensor hidden_TD;  ///< h, the final normed hidden states, float32
  /// bool: the first position of a sequence, where no text has been seen; not of lone tokens, which
  /// stand for each other.
  at::Tensor first_T;
};

/// Runs the base (additions masked) over `sequences`. The same on every rank of the team.
CalibrationFeatures collect_features(const model::Transformer& transformer,
                                     const std::vector<Sequence>& sequences,
                                     const std::string& progress_label,
                                     const parallel::Team& team = {});

/// What one layer's router saw of each text.
struct LayerView {
  const LayerPlan* plan = nullptr;
  int rank = 0;                        ///< which one of the team has it, to fit rows to it
  std::vector<LayerFeatures> texts{};  ///< on that rank
};
/// Called on every rank with the layers that are ready to be fitted, in order: one for each rank.
using LayersTaker = std::function<void(std::vector<LayerView> layers)>;

/// The same for several texts at once, with the routers' views of them: layer by layer, so that
/// each rank has one layer's features in memory at a time. All hidden states are, 4 D bytes a
/// token.
/// @param layers the plan's, for their donors, in ascending order; may be empty.
std::vector<CalibrationFeatures> collect_by_layer(const model::Transformer& transformer,
                                                  const std::vector<std::vector<Sequence>>& texts,
                                                  const std::vector<LayerPlan>& layers,
                                                  const LayersTaker& take,
                                                  const std::string& progress_label,
                                                  const parallel::Team& team = {});

}  // namespace polygraft::expand
