// expand/softmax_shift.h: how far old outputs move although no new expert is chosen, in families
// that do not renormalise the chosen experts' weights. README.md, "Weights that are not
// renormalised".
#pragma once
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "expand/config.h"
#include "expand/profile.h"
#include "model/checkpoint/model_config.h"

namespace polygraft::expand {

struct LayerPlan;

/// With r = Z_new / Z, what new experts' scores add to the softmax's denominator, an old weight
/// becomes weight / (1 + r) = weight * (1 - share).
struct SoftmaxShift {
  bool renormalized = true;  ///< no old weight moves: share is 0
  /// Rows are fitted to take no more than `share`; else they are copies of their donors', and
  /// nothing in the family's format makes up for them.
  bool held_below = false;
  /// Mean of r/(1+r) on old text. Held below: what the fit aims at. Copies: an upper bound from the
  /// profile, of the old language and the layer where it is largest.
  double share = 0;
  /// What no rows can go below on the profile's text: mean nats that old weights lose, in the old
  /// language and the layer where it is largest (softmax_floor.h; of the power of two up to the
  /// number of new experts, the loss of more rows being no smaller).
  double floor_nats = 0;
  int64_t floor_layer = -1;  ///< -1: no floor was found

  /// By what an old expert's weight is multiplied, in the mean.
  double old_weight_factor() const { return 1 - share; }
  Json to_json() const;
  static SoftmaxShift from_json(const Json& json, const std::filesystem::path& file);
};

/// Pure. @param layers the plan's, for their donors.
SoftmaxShift predict_softmax_shift(const model::ModelConfig& config, const Profile& profile,
                                   const ExpertConfig& experts,
                                   const std::vector<LayerPlan>& layers);

/// What to know of it before anything is written; "" where nothing moves.
std::string softmax_shift_line(const SoftmaxShift& shift);

}  // namespace polygraft::expand
