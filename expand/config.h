// expand/config.h: what the user chooses of an expansion: the pipeline's `tokenizer:` and `expand:`
// blocks.
#pragma once
#include <cstdint>
#include <string>

#include "core/config.h"

namespace polygraft::expand {

/// Vocabulary extension and the start values of its rows.
struct VocabularyConfig {
  std::string new_tokens = "800";
  double min_saving = 1e-4;
  int64_t min_count = 2;
  bool cross_script = false;
  double guard_max_changed = 0.0;
  std::string init = "mean";     ///< start_rows.h: mean, norm_mean or omp
  int64_t init_atoms = 8;        ///< omp: old rows that make up a new one, at most
  int64_t mark_steps = 240;      ///< language_mark.h; 0: no mark
  std::string head = "untied";   ///< untied: own output rows with the closed-form offset; tied:
                                 ///< input rows serve as output rows
  double head_margin = 5.0;      ///< M: by how many nats the offset lowers new rows on old contexts
  double head_old_weight = 8.0;  ///< beta
  double head_ridge = 1e-3;      ///< lambda
  int64_t pad_to = 64;  ///< rows; a vocabulary that grows stays a multiple of it where it was one

  template <class Visitor>
  void visit(Visitor& v) {
    v.field("new_tokens", new_tokens,
            "merges to learn, one token each; auto: while each saves min_saving");
    v.field("min_saving", min_saving, "with auto: tokens saved per token of the new text");
    v.field("min_count", min_count, "a pair seen less often in the new text is not merged");
    v.field("cross_script", cross_script, "whether merges may cross a script or digit boundary");
    v.field("guard_max_changed", guard_max_changed,
            "share of each old language's documents whose segmentation may change");
    v.field("init", init,
            "new rows: mean (of their sub-tokens' rows), norm_mean (at those rows' norm), omp (of "
            "old rows, by context)");
    v.field("init_atoms", init_atoms, "with omp: old rows that make up a new one, at most");
    v.field("mark_steps", mark_steps,
            "steps that fit the mark, a vector common to all new input rows by which routers tell "
            "the language; 0: none (needs output rows of their own and fitted router rows)");
    v.field("head", head, "output rows: untied (own rows, closed-form offset) or tied");
    v.field("head_margin", head_margin,
            "nats by which new output rows are lowered on old contexts");
    v.field("head_old_weight", head_old_weight, "weight of old against new contexts in the offset");
    v.field("head_ridge", head_ridge, "ridge of the offset, relative to the mean eigenvalue");
    v.field("pad_to", pad_to,
            "a vocabulary that grows stays a multiple of so many rows where it was one; 0: as it "
            "comes");
  }
  void validate(Problems& problems) const;
};

/// New experts and their router rows.
struct ExpertConfig {
  int64_t experts_per_layer = 8;
  int64_t experts_multiple_of = 1;  ///< of base and new experts together
  std::string layers = "auto";      ///< auto: every MoE layer
  std::string donors = "nearest";   ///< nearest: used by the new language, weighted by how specific
                                    ///< to its nearest languages; used: most used
  double reinit_ratio = 0.5;  ///< share of intermediate units redrawn from the donor's statistics
  /// discriminant: fitted rows; donor: copies (unprotected; a control).
  std::string router = "discriminant";
  double router_margin = 0.3;       ///< m
  double router_old_weight = 64.0;  ///< beta
  double router_ridge = 1e-3;       ///< lambda
  /// epsilon: share of the softmax that a layer's new experts together may take on old text, on
  /// average, in a model that does not renormalise the chosen experts' weights.
  double router_softmax_share = 1e-3;
  int64_t router_iterations = 60;  ///< of L-BFGS, at most
  int64_t calibration_new_tokens = 12'000;
  int64_t calibration_old_tokens = 24'000;
  double bos_weight = 16.0;  ///< how often the first position of an old sequence counts

  template <class Visitor>
  void visit(Visitor& v) {
    v.field("experts_per_layer", experts_per_layer, "new experts in each MoE layer");
    v.field("experts_multiple_of", experts_multiple_of,
            "add more until base and new experts together are a multiple of this "
            "(expert-parallel serving over 8 devices asks for 8)");
    v.field("layers", layers, "where to graft: auto (every MoE layer)");
    v.field("donors", donors, "nearest or used");
    v.field("reinit_ratio", reinit_ratio, "share of a clone's intermediate units that are redrawn");
    v.field("router", router, "router rows: discriminant (fitted) or donor (copied; unprotected)");
    v.field("router_margin", router_margin,
            "score margin between new experts and the last chosen old one");
    v.field("router_old_weight", router_old_weight, "weight of old against new text in the fit");
    v.field("router_ridge", router_ridge, "ridge of the fit, relative to the mean eigenvalue");
    v.field("router_softmax_share", router_softmax_share,
            "share of the router's softmax that new experts may take on old text "
            "(models without norm_topk_prob)");
    v.field("router_iterations", router_iterations, "L-BFGS iterations, at most");
    v.field("calibration_new_tokens", calibration_new_tokens, "new-language tokens for the fits");
    v.field("calibration_old_tokens", calibration_old_tokens,
            "old-language tokens for the fits, all languages together");
    v.field("bos_weight", bos_weight, "weight of the first position of an old sequence");
  }
  void validate(Problems& problems) const;
};

}  // namespace polygraft::expand
