// expand/upcycle.h: a dense model made into a fine-grained mixture of experts.
// Marco-MoE (arXiv 2604.25578): each layer's FFN is cut into N slices along its intermediate
// dimension, every slice copied M times, gate, up and down scaled; drop-upcycling (arXiv
// 2502.19261): a share of every copy's units is redrawn. The N slices of one copy start with one
// router row ("virtual groups", arXiv 2410.07524), so that the top N are one copy of every slice.
//
// FFN(x) = down (silu(gate x) * up x) is the sum of its slices. N of them with weight 1/N each give
// FFN(x) / N, which a factor of N on up x down makes good. So the function is kept exactly when
// up x down carries N, the gate is not scaled (silu is not linear), nothing is redrawn, and the
// chosen experts are whole groups with weights that sum to one. Marco's N^(1/3) on all three keeps
// it where silu is nearly linear, and leaves the three matrices at one scale.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/json_fwd.h"
#include "model/checkpoint/model_folder.h"

namespace polygraft::expand {

/// The file of `expand upcycle --config`.
struct UpcycleConfig {
  int64_t slices = 0;               ///< N, of each layer's FFN
  int64_t copies = 0;               ///< M of every slice: N x M experts a layer
  int64_t top_k = 0;                ///< experts per token; 0: N
  std::string scale = "cube_root";  ///< cube_root: N^(1/3) on each matrix; exact: sqrt(N) on up and
                                    ///< on down
  double reinit_ratio = 0.5;        ///< share of a copy's units redrawn
  std::string router =
      "grouped";  ///< grouped: one row for the slices of a copy; random: a row each
  int64_t seed = 17;

  template <class Visitor>
  void visit(Visitor& v) {
    v.required("slices", slices, "parts that each FFN is cut into, along its intermediate width");
    v.required("copies", copies, "experts made of each slice");
    v.field("top_k", top_k, "experts per token; 0: as many as slices");
    v.field("scale", scale,
            "cube_root (Marco-MoE: slices^(1/3) on gate, up and down) or exact (sqrt(slices) on up "
            "and down)");
    v.field("reinit_ratio", reinit_ratio, "share of each expert's units that are redrawn");
    v.field("router", router,
            "start of the router: grouped (the slices of one copy are chosen together) or random");
    v.field("seed", seed, "of redrawn units and router rows");
  }
  void validate(Problems& problems) const;
};

/// What will be written, decided before anything is.
struct UpcyclePlan {
  UpcycleConfig config;                  ///< resolved
  BoxedJson config_json;                 ///< of the result
  model::ModelConfig model;              ///< the same, parsed
  std::vector<std::string> why_changed;  ///< what changes the function; empty: it is kept

  /// {"family", "num_experts", "top_k", "expert_width", "params_total", "params_active",
  /// "function": "kept" | "changed", "why_changed": [...], "config": {...}}
  Json to_json() const;
};

/// @throws NotComparable when `dense` is none; NotBuiltError when no family has its attention with
/// experts; ConfigError when the FFN does not divide by `slices`.
UpcyclePlan plan_upcycle(const model::ModelFolder& dense, const UpcycleConfig& config);

/// Streams the result into `out` (an AtomicFolder's path), a few experts in memory at a time:
/// everything but the FFNs byte for byte, side files and tokenizer included; upcycle.json says
/// where it comes from. Deterministic in the seed.
void upcycle(const model::ModelFolder& dense, const UpcyclePlan& plan,
             const std::filesystem::path& out);

}  // namespace polygraft::expand
