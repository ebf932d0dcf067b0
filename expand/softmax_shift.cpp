// expand/softmax_shift.cpp: see softmax_shift.h.
#include "expand/softmax_shift.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/json.h"
#include "core/text.h"
#include "expand/plan.h"

namespace polygraft::expand {

namespace {

/// A copy of a donor's row scores what the donor scores, so that r is the sum of the donors'
/// weights. The mean of r/(1+r) is at most that of the mean r.
double share_of_copies(const Profile& profile, const std::vector<LayerPlan>& layers) {
  double largest = 0;
  for (size_t i = 0; i < layers.size(); ++i) {
    for (const auto& [language, role] : profile.roles) {
      if (role != "old") continue;
      const std::vector<double>& softmax = profile.layers.at(i).softmax.at(language);
      double r = 0;
      for (const Donor& donor : layers[i].donors) {
        r += softmax.at(static_cast<size_t>(donor.expert));
      }
      largest = std::max(largest, r / (1 + r));
    }
  }
  return largest;
}

void add_floor(const Profile& profile, const std::vector<LayerPlan>& layers, SoftmaxShift& shift) {
  for (size_t i = 0; i < layers.size(); ++i) {
    const auto num_new = static_cast<uint64_t>(layers[i].donors.size());
    if (num_new == 0) continue;
    for (const auto& [language, floors] : profile.layers.at(i).softmax_floor) {
      const size_t power = std::min<size_t>(std::bit_width(num_new), floors.size());
      if (power == 0 || floors[power - 1] <= shift.floor_nats) continue;
      shift.floor_nats = floors[power - 1];
      shift.floor_layer = layers[i].layer;
    }
  }
}

std::string floor_text(const SoftmaxShift& shift) {
  if (shift.floor_layer < 0) return "; no rows are bound to take more on the profile's text";
  return concat("; in layer ", shift.floor_layer, " no rows could leave old weights more than ",
                fixed(std::exp(-shift.floor_nats), 6), " of what they were on the profile's text (",
                "geometric mean)");
}

}  // namespace

SoftmaxShift predict_softmax_shift(const model::ModelConfig& config, const Profile& profile,
                                   const ExpertConfig& experts,
                                   const std::vector<LayerPlan>& layers) {
  SoftmaxShift shift;
  shift.renormalized = config.renormalize_top_k;
  if (shift.renormalized) return shift;
  shift.held_below = experts.router == "discriminant";
  shift.share = shift.held_below ? experts.router_softmax_share : share_of_copies(profile, layers);
  add_floor(profile, layers, shift);
  return shift;
}

std::string softmax_shift_line(const SoftmaxShift& shift) {
  if (shift.renormalized) return "";
  const std::string why = "weights are not renormalised (norm_topk_prob false): ";
  const std::string factor = concat("; old experts' weights become ",
                                    fixed(shift.old_weight_factor(), 6), " of what they were");
  if (shift.held_below) {
    return concat(why, "new router rows are fitted towards ", fixed(100 * shift.share, 4),
                  " % of the softmax on old text (an aim: `graft` says what was reached)", factor,
                  floor_text(shift));
  }
  return concat(why, "copied router rows take up to ", fixed(100 * shift.share, 2),
                " % of the softmax on old text", factor, " (router: discriminant avoids that",
                floor_text(shift), ")");
}

Json SoftmaxShift::to_json() const {
  return {{"renormalized", renormalized},
          {"held_below", held_below},
          {"share", share},
          {"floor_nats", floor_nats},
          {"floor_layer", floor_layer},
          {"old_weight_factor", old_weight_factor()}};
}

SoftmaxShift SoftmaxShift::from_json(const Json& json, const std::filesystem::path& file) {
  return {json_get<bool>(json, "renormalized", file), json_get<bool>(json, "held_below", file),
          json_get<double>(json, "share", file), json_get_or<double>(json, "floor_nats", 0, file),
          json_get_or<int64_t>(json, "floor_layer", -1, file)};
}

}  // namespace polygraft::expand
