// expand/softmax_shift.cpp: see softmax_shift.h.
#include "expand/softmax_shift.h"

#include <algorithm>

#include "core/text.h"
#include "expand/config_json.h"
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

}  // namespace

SoftmaxShift predict_softmax_shift(const model::ModelConfig& config, const Profile& profile,
                                   const ExpertConfig& experts,
                                   const std::vector<LayerPlan>& layers) {
  SoftmaxShift shift;
  shift.renormalized = config.renormalize_top_k;
  if (shift.renormalized) return shift;
  shift.held_below = experts.router == "discriminant";
  shift.share = shift.held_below ? experts.router_softmax_share : share_of_copies(profile, layers);
  return shift;
}

std::string softmax_shift_line(const SoftmaxShift& shift) {
  if (shift.renormalized) return "";
  const std::string why = "weights are not renormalised (norm_topk_prob false): ";
  const std::string factor = concat("; old experts' weights become ",
                                    fixed(shift.old_weight_factor(), 6), " of what they were");
  if (shift.held_below) {
    return concat(why, "new router rows are fitted towards ", fixed(100 * shift.share, 4),
                  " % of the softmax on old text (an aim: `graft` says what was reached)", factor);
  }
  return concat(why, "copied router rows take up to ", fixed(100 * shift.share, 2),
                " % of the softmax on old text", factor, " (router: discriminant avoids that)");
}

Json SoftmaxShift::to_json() const {
  return {{"renormalized", renormalized},
          {"held_below", held_below},
          {"share", share},
          {"old_weight_factor", old_weight_factor()}};
}

SoftmaxShift SoftmaxShift::from_json(const Json& json, const std::filesystem::path& file) {
  return {json_get<bool>(json, "renormalized", file), json_get<bool>(json, "held_below", file),
          json_get<double>(json, "share", file)};
}

}  // namespace polygraft::expand
