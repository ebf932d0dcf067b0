// expand/config.cpp: the rules that the `tokenizer:` and `expand:` blocks must satisfy, all
// reported together.
#include "expand/config.h"

#include "core/text.h"

namespace polygraft::expand {

namespace {

// What is reckoned with them is float32.
void require_positive(Problems& problems, const std::string& path, double value) {
  problems.require_in(path, value, 0, 1e6, Ends::kHigh);
}

// Far above every expansion there is, and low enough that products with a model's sizes fit into 63
// bits.
constexpr int64_t kMostExperts = 1 << 14;
constexpr int64_t kMostFitTokens = 1'000'000'000;

}  // namespace

void VocabularyConfig::validate(Problems& problems) const {
  const bool is_number = !new_tokens.empty() && new_tokens.size() < 10 &&
                         new_tokens.find_first_not_of("0123456789") == std::string::npos;
  const bool is_zero = is_number && new_tokens.find_first_not_of('0') == std::string::npos;
  problems.require((is_number && !is_zero) || new_tokens == "auto", "new_tokens", new_tokens,
                   "must be a whole number above zero, or auto");
  problems.require_in("min_saving", min_saving, 0, 1, Ends::kNeither);
  problems.require_at_least("min_count", min_count, 1);
  problems.require_in("guard_max_changed", guard_max_changed, 0, 1);
  problems.require_one_of("init", init, {"mean", "norm_mean", "omp"});
  problems.require_at_least("init_atoms", init_atoms, 1);
  problems.require_in("mark_steps", mark_steps, 0, 100'000);
  problems.require_one_of("head", head, {"untied", "tied"});
  problems.require_in("head_margin", head_margin, 0, 1000);
  require_positive(problems, "head_old_weight", head_old_weight);
  require_positive(problems, "head_ridge", head_ridge);
  problems.require_in("pad_to", pad_to, 0, 65'536);
}

void ExpertConfig::validate(Problems& problems) const {
  problems.require_in("experts_per_layer", experts_per_layer, 1, kMostExperts);
  problems.require_in("experts_multiple_of", experts_multiple_of, 1, kMostExperts);
  problems.require(layers == "auto", "layers", layers,
                   "must be auto: config.json states one number of experts for all layers");
  problems.require_one_of("donors", donors, {"nearest", "used"});
  problems.require_in("reinit_ratio", reinit_ratio, 0, 1);
  problems.require_one_of("router", router, {"discriminant", "donor"});
  problems.require_in("router_margin", router_margin, 0, 1000);
  require_positive(problems, "router_old_weight", router_old_weight);
  require_positive(problems, "router_ridge", router_ridge);
  problems.require_in("router_softmax_share", router_softmax_share, 0, 1, Ends::kHigh);
  problems.require_at_least("router_iterations", router_iterations, 0);
  // A sequence is at least the token before a text and one of it.
  problems.require_in("calibration_new_tokens", calibration_new_tokens, 2, kMostFitTokens);
  problems.require_in("calibration_old_tokens", calibration_old_tokens, 2, kMostFitTokens);
  require_positive(problems, "bos_weight", bos_weight);
}

}  // namespace polygraft::expand
