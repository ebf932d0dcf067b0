// model/checkpoint/families.h: the table that tells families apart: tensor names with {layer} and {expert} placeholders.
#pragma once
#include <string>
#include <vector>

#include "model/checkpoint/model_config.h"
#include "model/checkpoint/tensor_writer.h"

namespace polygraft::model {

/// How a folder stores a layer's experts.
enum class ExpertLayout {
  kNone,       ///< dense
  kPerExpert,  ///< one gate, up and down tensor per expert
  kFused,      ///< transformers v5: experts.gate_up_proj [E, 2F, D] (gate rows first) and experts.down_proj [E, D, F]
};

/// Name templates of one family; "" where a family lacks the tensor.
struct TensorNames {
  std::string embedding, final_norm, head;
  std::string attention_norm, query, key, value, output, query_bias, key_bias, value_bias, output_bias, query_norm, key_norm;
  std::string mlp_norm, dense_gate, dense_up, dense_down;
  std::string router, expert_gate, expert_up, expert_down, fused_gate_up, fused_down;
};

struct Family {
  std::string model_type;
  std::string architecture;  ///< "Qwen3MoeForCausalLM"
  bool moe;
  bool qk_norm;
  TensorNames names;
};

/// @throws NotBuiltError naming the family and listing the supported ones.
const Family& find_family(const std::string& model_type);
std::vector<std::string> supported_families();

/// Fills the placeholders: fill("model.layers.{layer}.mlp.experts.{expert}.up_proj.weight", 3, 17).
std::string fill(const std::string& name_template, int64_t layer, int64_t expert = -1);

/// Every tensor a model of this config and layout has, in transformers' order, in `config.dtype`.
std::vector<TensorSpec> expected_tensors(const ModelConfig& config, ExpertLayout layout);

}  // namespace polygraft::model
