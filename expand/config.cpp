// expand/config.cpp: the rules that the `tokenizer:` and `expand:` blocks must satisfy, all
// reported together.
#include "expand/config.h"

#include "core/text.h"

namespace polygraft::expand {

namespace {

// Written as comparisons that NaN fails. What is reckoned with them is float32.
void require_positive(Problems& problems, const std::string& path, double value) {
  problems.require(value > 0 && value <= 1e6, path, concat(value), "must lie in (0, 1e6]");
}

void require_margin(Problems& problems, const std::string& path, double value) {
  problems.require(value >= 0 && value <= 1000, path, concat(value), "must lie in [0, 1000]");
}

// Far above every expansion there is, and low enough that products with a model's sizes fit into 63
// bits.
constexpr int64_t kMostExperts = 1 << 14;
constexpr int64_t kMostFitTokens = 1'000'000'000;

void require_count(Problems& problems, const std::string& path, int64_t value, int64_t least,
                   int64_t most) {
  problems.require(value >= least && value <= most, path, concat(value),
                   concat("must lie in [", least, ", ", most, "]"));
}

}  // namespace

void VocabularyConfig::validate(Problems& problems) const {
  const bool is_number = !new_tokens.empty() && new_tokens.size() < 10 &&
                         new_tokens.find_first_not_of("0123456789") == std::string::npos;
  problems.require(is_number || new_tokens == "auto", "new_tokens", new_tokens,
                   "must be a whole number, or auto");
  problems.require(min_saving > 0 && min_saving < 1, "min_saving", concat(min_saving),
                   "must be above 0 and below 1");
  problems.require(min_count >= 1, "min_count", concat(min_count), "must be 1 or more");
  problems.require(guard_max_changed >= 0 && guard_max_changed <= 1, "guard_max_changed",
                   concat(guard_max_changed), "must be a share, 0 to 1");
  problems.require(init == "mean" || init == "norm_mean" || init == "omp", "init", init,
                   "must be mean, norm_mean or omp");
  problems.require(init_atoms >= 1, "init_atoms", concat(init_atoms), "must be 1 or more");
  problems.require(mark_steps >= 0 && mark_steps <= 100'000, "mark_steps", concat(mark_steps),
                   "must be a number of steps, 0 to 100000");
  problems.require(head == "untied" || head == "tied", "head", head, "must be untied or tied");
  require_margin(problems, "head_margin", head_margin);
  require_positive(problems, "head_old_weight", head_old_weight);
  require_positive(problems, "head_ridge", head_ridge);
  problems.require(pad_to >= 0 && pad_to <= 65'536, "pad_to", concat(pad_to),
                   "must be a number of rows, 0 to 65536");
}

void ExpertConfig::validate(Problems& problems) const {
  require_count(problems, "experts_per_layer", experts_per_layer, 1, kMostExperts);
  require_count(problems, "experts_multiple_of", experts_multiple_of, 1, kMostExperts);
  problems.require(layers == "auto", "layers", layers,
                   "must be auto: config.json states one number of experts for all layers");
  problems.require(donors == "nearest" || donors == "used", "donors", donors,
                   "must be nearest or used");
  problems.require(reinit_ratio >= 0 && reinit_ratio <= 1, "reinit_ratio", concat(reinit_ratio),
                   "must be a share, 0 to 1");
  problems.require(router == "discriminant" || router == "donor", "router", router,
                   "must be discriminant or donor");
  require_margin(problems, "router_margin", router_margin);
  require_positive(problems, "router_old_weight", router_old_weight);
  require_positive(problems, "router_ridge", router_ridge);
  problems.require(router_softmax_share > 0 && router_softmax_share <= 1, "router_softmax_share",
                   concat(router_softmax_share), "must be a share above 0, at most 1");
  problems.require(router_iterations >= 0, "router_iterations", concat(router_iterations),
                   "must be 0 or more");
  // A sequence is at least the token before a text and one of it.
  require_count(problems, "calibration_new_tokens", calibration_new_tokens, 2, kMostFitTokens);
  require_count(problems, "calibration_old_tokens", calibration_old_tokens, 2, kMostFitTokens);
  require_positive(problems, "bos_weight", bos_weight);
}

}  // namespace polygraft::expand
