// model/checkpoint/model_config.h: what config.json says of an architecture, for every family, in
// one struct.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "model/checkpoint/dtype.h"

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

  bool operator==(const RopeConfig&) const = default;
};

/// Where a family normalises queries and keys.
enum class QkNorm {
  kNone,
  kPerHead,  ///< RMSNorm over head_dim, one weight for all heads
  kAllHeads  ///< RMSNorm over the whole projection
};

/// Shapes and switches of one model. Counts, not sharded; widths in elements.
struct ModelConfig {
  std::string family;  ///< config.json's model_type
  int64_t num_layers = 0, hidden_size = 0;
  int64_t num_heads = 0, num_kv_heads = 0, head_dim = 0;
  int64_t vocab_rows = 0;
  int64_t dense_width = 0;          ///< intermediate_size of dense layers
  int64_t expert_width = 0;         ///< intermediate size of one expert
  int64_t shared_expert_width = 0;  ///< of the expert that every token visits; 0: there is none
  int64_t num_experts = 0;          ///< 0: a dense model
  int64_t top_k = 0;
  bool renormalize_top_k = false;  ///< weights of the chosen experts sum to one (norm_topk_prob)
  std::vector<bool> layer_is_moe;  ///< one per layer
  double rms_norm_eps = 1e-6;
  QkNorm qk_norm = QkNorm::kNone;
  bool qkv_bias = false;     ///< q, k and v projections carry a bias
  bool output_bias = false;  ///< the o projection does
  bool mlp_bias = false;     ///< gate, up and down of dense layers do
  double clip_qkv = 0;       ///< largest absolute value of queries, keys and values; 0: no bound
  /// One per layer: tokens that a token sees, itself included; 0: all before it. Empty: 0
  /// everywhere.
  std::vector<int64_t> layer_window;
  bool tied_embeddings = false;
  int64_t max_positions = 0;
  RopeConfig rope;
  Dtype dtype = Dtype::kBF16;  ///< of the stored weights

  bool is_moe() const { return num_experts > 0; }
  int64_t window_of(size_t layer) const { return layer_window.empty() ? 0 : layer_window[layer]; }
};

/// @throws FormatError for a missing or contradictory key; NotBuiltError naming the feature for
/// another family, quantised weights, an unknown activation or rope type.
ModelConfig parse_model_config(const Json& config_json, const fs::path& file);

struct ParameterCount {
  int64_t total = 0;
  /// All but the experts that a token does not visit, as releases state it: an embedding table
  /// counts whole, though its rows are looked up.
  int64_t active_per_token = 0;
};
ParameterCount count_parameters(const ModelConfig& config);

}  // namespace polygraft::model
