// expand/additions.h: additions checked against the model that they are to extend.
// Legend: D model width, F expert width, G = 2F, n new experts, v new vocabulary rows.
#pragma once
#include <string>
#include <vector>

#include "expand/graft.h"

namespace polygraft::expand {

/// What additions must fit: the shapes that a base gives them.
struct AdditionShapes {
  int64_t hidden_size = 0;   ///< D
  int64_t expert_width = 0;  ///< F
  std::vector<int64_t> moe_layers;
  bool tied = false;  ///< the base has no output rows of its own

  static AdditionShapes of(const model::ModelConfig& config);
  static AdditionShapes of(const model::Weights& weights);
};

struct AdditionCounts {
  int64_t num_experts = 0;     ///< n, in each MoE layer
  int64_t num_vocab_rows = 0;  ///< v
  bool has_head = false;       ///< output rows apart from the input rows
};

/// Counts what is added. @throws NotComparable naming the tensor when a name is unknown, a shape
/// does not fit, layers disagree on n, input and output rows disagree on v, or an untied base gets
/// input rows without output rows.
AdditionCounts check_additions(const Additions& additions, const AdditionShapes& shapes);

}  // namespace polygraft::expand
