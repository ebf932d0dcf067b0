// model/checkpoint/model_config.h: what config.json says of an architecture, for every family, in
// one struct.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "model/checkpoint/tensor_file.h"

namespace polygraft::model {

/// Rotary position embedding as config.json states it (transformers: modeling_rope_utils.py).
struct RopeConfig {
  std::string type = "default";  ///< default | linear | llama3 | yarn
  double theta = 10000.0;
  double factor = 1.0;
  // llama3
  double low_freq_factor = 1.0, high_freq_factor = 4.0;
  int64_t original_max_positions = 0;  ///< 0: the model's max_positions
  // yarn
  double beta_fast = 32.0, beta_slow = 1.0;
  std::optional<double> attention_factor, mscale, mscale_all_dim;
  bool truncate = true;
};

/// Shapes and switches of one model. Counts, not sharded; widths in elements.
struct ModelConfig {
  std::string family;  ///< config.json's model_type
  int64_t num_layers = 0, hidden_size = 0;
  int64_t num_heads = 0, num_kv_heads = 0, head_dim = 0;
  int64_t vocab_rows = 0;
  int64_t dense_width = 0;   ///< intermediate_size of dense layers
  int64_t expert_width = 0;  ///< intermediate size of one expert
  int64_t num_experts = 0;   ///< 0: a dense model
  int64_t top_k = 0;
  bool renormalize_top_k = false;  ///< weights of the chosen experts sum to one (norm_topk_prob)
  std::vector<bool> layer_is_moe;  ///< one per layer
  double rms_norm_eps = 1e-6;
  bool qk_norm = false;         ///< RMSNorm over head_dim on queries and keys
  bool attention_bias = false;  ///< q, k, v and o projections carry a bias
  bool mlp_bias = false;
  bool tied_embeddings = false;
  int64_t max_positions = 0;
  RopeConfig rope;
  Dtype dtype = Dtype::kBF16;  ///< of the stored weights

  bool is_moe() const { return num_experts > 0; }
};

/// @throws FormatError for a missing or contradictory key; NotBuiltError naming the feature for
/// another family, quantised weights, sliding window, an unknown activation or rope type.
ModelConfig parse_model_config(const Json& config_json, const fs::path& file);

struct ParameterCount {
  int64_t total = 0;
  int64_t active_per_token = 0;  ///< what one token's forward pass multiplies with; embedding rows
                                 ///< are looked up, not counted
};
ParameterCount count_parameters(const ModelConfig& config);

}  // namespace polygraft::model
