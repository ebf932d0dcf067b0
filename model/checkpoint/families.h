// model/checkpoint/families.h: the table that tells families apart: tensor names with {layer} and
// {expert} placeholders.
#pragma once
#include <string>
#include <vector>

#include "model/checkpoint/model_config.h"
#include "model/checkpoint/tensor_writer.h"

namespace polygraft::model {

/// How a layer's experts are stored.
enum class ExpertLayout {
  kNone,       ///< dense
  kPerExpert,  ///< one gate, up and down tensor per expert
  kFused,      ///< transformers v5: experts.gate_up_proj [E, 2F, D] (gate rows first) and
               ///< experts.down_proj [E, D, F]
};

/// How a folder stores its experts: one way in all layers, or, in a folder that was put together
/// from two conversions, each layer in its own.
class FolderLayout {
 public:
  FolderLayout(ExpertLayout everywhere) : layers_{everywhere} {}  // NOLINT: a layout is a folder's
  /// @param layers one per layer, kNone for dense ones.
  explicit FolderLayout(const std::vector<ExpertLayout>& layers);
  ExpertLayout of(int64_t layer) const {
    return layers_.size() == 1 ? layers_[0] : layers_.at(static_cast<size_t>(layer));
  }
  bool operator==(const FolderLayout&) const = default;

 private:
  std::vector<ExpertLayout> layers_;  ///< one for all, or one per layer
};

/// Name templates of one family; "" where a family lacks the tensor.
struct TensorNames {
  std::string embedding, final_norm, head;
  std::string attention_norm, query, key, value, output, query_bias, key_bias, value_bias,
      output_bias, query_norm, key_norm;
  std::string mlp_norm, dense_gate, dense_up, dense_down, dense_gate_bias, dense_up_bias,
      dense_down_bias;
  std::string router, expert_gate, expert_up, expert_down, fused_gate_up, fused_down;
  std::string fused_router;  ///< where it is not `router` beside fused experts
  std::string shared_gate, shared_up, shared_down, shared_expert_gate;

  const std::string& router_of(ExpertLayout layout) const {
    return layout == ExpertLayout::kFused && !fused_router.empty() ? fused_router : router;
  }
};

/// What transformers assumes where a family's config.json is silent (the class's own field
/// defaults).
struct ConfigDefaults {
  bool tied_embeddings = false;
  int64_t num_kv_heads = 0;  ///< 0: as many as query heads
  int64_t head_dim = 0;      ///< 0: hidden_size / num_attention_heads
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0;
  int64_t num_experts = 0, top_k = 0, expert_width = 0, shared_expert_width = 0;
  int64_t sliding_window = 0;  ///< tokens; 0: none
};

/// Which projections of an attention layer carry a bias.
enum class BiasRule {
  kNone,
  kSwitched,     ///< q, k, v and o, if `attention_bias`
  kQkv,          ///< q, k and v
  kQkvSwitched,  ///< q, k and v, unless `qkv_bias` is false
};

/// Which layers look back no further than `sliding_window` tokens.
enum class WindowRule {
  kNone,
  kEveryLayer,      ///< all, if `sliding_window` is stated
  kEveryLayerIfOn,  ///< all, if `use_sliding_window`
  kLaterLayers,     ///< if `use_sliding_window`: `layer_types`, else from `max_window_layers` on
  kEvenLayers,      ///< if `use_sliding_window`: `layer_types`, else 0, 2, 4, ... before it
};

/// Where families differ in what they compute, and in the keys of config.json that they look at; a
/// key that a family's code ignores is ignored here.
struct FamilySwitches {
  bool moe = false;
  bool dense_layers = false;         ///< decoder_sparse_step and mlp_only_layers
  bool shared_expert = false;        ///< with a sigmoid gate of its own
  bool always_renormalized = false;  ///< else norm_topk_prob
  std::string num_experts_key = "num_experts";
  std::string expert_width_key = "moe_intermediate_size";
  QkNorm qk_norm = QkNorm::kNone;
  BiasRule attention_bias = BiasRule::kNone;
  bool mlp_bias = false;
  bool clip_qkv = false;
  WindowRule window = WindowRule::kNone;
};

struct Family {
  std::string model_type;
  std::string architecture;  ///< "Qwen3MoeForCausalLM"
  FamilySwitches switches;
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

/// Every tensor a model of this config and layout has, layer after layer, in `config.dtype`. A tied
/// model has no head tensor.
std::vector<TensorSpec> expected_tensors(const ModelConfig& config, const FolderLayout& layout);

}  // namespace polygraft::model
