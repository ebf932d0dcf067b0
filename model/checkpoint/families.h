// model/checkpoint/families.h: the table that tells families apart: tensor names with {layer} and
// {expert} placeholders.
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
  kFused,      ///< transformers v5: experts.gate_up_proj [E, 2F, D] (gate rows first) and
               ///< experts.down_proj [E, D, F]
};

/// Name templates of one family; "" where a family lacks the tensor.
struct TensorNames {
  std::string embedding, final_norm, head;
  std::string attention_norm, query, key, value, output, query_bias, key_bias, value_bias,
      output_bias, query_norm, key_norm;
  std::string mlp_norm, dense_gate, dense_up, dense_down, dense_gate_bias, dense_up_bias,
      dense_down_bias;
  std::string router, expert_gate, expert_up, expert_down, fused_gate_up, fused_down;
};

/// What transformers assumes where a family's config.json is silent (the class's own field
/// defaults).
struct ConfigDefaults {
  bool tied_embeddings = false;
  int64_t num_kv_heads = 0;  ///< 0: as many as query heads
  int64_t head_dim = 0;      ///< 0: hidden_size / num_attention_heads
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0;
  int64_t num_experts = 0, top_k = 0, expert_width = 0;
};

/// Which of the optional switches of config.json a family's code looks at; elsewhere the key is
/// ignored, as there.
struct ConfigSwitches {
  bool attention_bias = false, mlp_bias = false, sliding_window = false;
};

struct Family {
  std::string model_type;
  std::string architecture;  ///< "Qwen3MoeForCausalLM"
  bool moe;
  bool qk_norm;
  ConfigSwitches switches;
  ConfigDefaults defaults;
  TensorNames names;
  std::vector<std::string>
      ignored_suffixes;  ///< buffers that old files carry and transformers skips
};

/// @throws NotBuiltError naming the family and listing the supported ones.
const Family& find_family(const std::string& model_type);
std::vector<std::string> supported_families();

/// Fills the placeholders: fill("model.layers.{layer}.mlp.experts.{expert}.up_proj.weight", 3, 17).
std::string fill(const std::string& name_template, int64_t layer, int64_t expert = -1);

/// Every tensor a model of this config and layout has, in transformers' order, in `config.dtype`.
/// A tied model has no head tensor.
std::vector<TensorSpec> expected_tensors(const ModelConfig& config, ExpertLayout layout);

}  // namespace polygraft::model
