// cli/pipeline/shape_plan.h: what a pipeline would do to a model of which only config.json is here.
#pragma once
#include "cli/pipeline/config.h"
#include "core/json.h"
#include "model/checkpoint/model_config.h"

namespace polygraft::cli {

/// Whether `folder` has a config.json and no tensors.
bool is_shape_alone(const std::filesystem::path& folder);

/// config.json of a model folder. @throws FormatError for one that is not understood; ConfigError
/// for a dense model.
model::ModelConfig read_moe_shape(const std::filesystem::path& folder);

/// The model that a pipeline makes, as far as its shape alone tells.
struct ExpandedShape {
  model::ModelConfig base, expanded;
  int64_t num_added_experts = 0;     ///< of a layer
  int64_t num_added_vocab_rows = 0;  ///< 0 with `auto`: the number is the text's to tell
};
ExpandedShape expanded_shape(const PipelineConfig& pipeline);

struct ShapePlan {
  int64_t peak_memory_bytes = 0;  ///< that training takes, without the pages of a mapped base
  bool fits = true;               ///< into the memory of the machine that the pipeline names
  double seconds = 0;             ///< of training there; 0: none is named
  Json json;         ///< added_experts_per_layer, added_parameters, added_bytes, base_bytes, ...
  std::string text;  ///< the same as a table
};
/// Nothing but config.json is read. @throws FormatError for a config.json that is not understood.
ShapePlan plan_from_shape(const PipelineConfig& pipeline);

}  // namespace polygraft::cli
