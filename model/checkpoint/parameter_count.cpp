// model/checkpoint/parameter_count.cpp: parameters in all, and less the experts that a token passes
// by.
#include <algorithm>

#include "model/checkpoint/expected_tensors.h"
#include "model/checkpoint/model_config.h"

namespace polygraft::model {

ParameterCount count_parameters(const ModelConfig& config) {
  ParameterCount count;
  // Fused, because both layouts hold the same numbers and this one has fewer tensors to visit.
  visit_expected_tensors(config, ExpertLayout::kFused,
                         [&](const TensorSpec& spec, std::string_view) {
                           int64_t num_elements = 1;
                           for (int64_t size : spec.shape) num_elements *= size;
                           count.total += num_elements;
                         });
  const int64_t num_moe_layers =
      std::count(config.layer_is_moe.begin(), config.layer_is_moe.end(), true);
  const int64_t idle_experts = num_moe_layers * (config.num_experts - config.top_k);
  count.active_per_token =
      count.total - idle_experts * 3 * config.hidden_size * config.expert_width;
  return count;
}

}  // namespace polygraft::model
