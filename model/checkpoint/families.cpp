// model/checkpoint/families.cpp: the table. Another family of this shape is another row.
// Reference: transformers 5.23, models/*/{configuration,modeling}_*.py of each model_type, and
// conversion_mapping.py.
#include "model/checkpoint/families.h"

#include "core/error.h"
#include "core/text.h"

namespace polygraft::model {
namespace {

// What all share.
TensorNames llama_names() {
  TensorNames names;
  names.embedding = "model.embed_tokens.weight";
  names.final_norm = "model.norm.weight";
  names.head = "lm_head.weight";
  names.attention_norm = "model.layers.{layer}.input_layernorm.weight";
  names.query = "model.layers.{layer}.self_attn.q_proj.weight";
  names.key = "model.layers.{layer}.self_attn.k_proj.weight";
  names.value = "model.layers.{layer}.self_attn.v_proj.weight";
  names.output = "model.layers.{layer}.self_attn.o_proj.weight";
  names.query_bias = "model.layers.{layer}.self_attn.q_proj.bias";
  names.key_bias = "model.layers.{layer}.self_attn.k_proj.bias";
  names.value_bias = "model.layers.{layer}.self_attn.v_proj.bias";
  names.output_bias = "model.layers.{layer}.self_attn.o_proj.bias";
  names.mlp_norm = "model.layers.{layer}.post_attention_layernorm.weight";
  names.dense_gate = "model.layers.{layer}.mlp.gate_proj.weight";
  names.dense_up = "model.layers.{layer}.mlp.up_proj.weight";
  names.dense_down = "model.layers.{layer}.mlp.down_proj.weight";
  return names;
}

TensorNames with_mlp_bias(TensorNames names) {
  names.dense_gate_bias = "model.layers.{layer}.mlp.gate_proj.bias";
  names.dense_up_bias = "model.layers.{layer}.mlp.up_proj.bias";
  names.dense_down_bias = "model.layers.{layer}.mlp.down_proj.bias";
  return names;
}

TensorNames with_qk_norm(TensorNames names) {
  names.query_norm = "model.layers.{layer}.self_attn.q_norm.weight";
  names.key_norm = "model.layers.{layer}.self_attn.k_norm.weight";
  return names;
}

TensorNames with_experts(TensorNames names) {
  names.router = "model.layers.{layer}.mlp.gate.weight";
  names.expert_gate = "model.layers.{layer}.mlp.experts.{expert}.gate_proj.weight";
  names.expert_up = "model.layers.{layer}.mlp.experts.{expert}.up_proj.weight";
  names.expert_down = "model.layers.{layer}.mlp.experts.{expert}.down_proj.weight";
  names.fused_gate_up = "model.layers.{layer}.mlp.experts.gate_up_proj";
  names.fused_down = "model.layers.{layer}.mlp.experts.down_proj";
  return names;
}

TensorNames with_shared_expert(TensorNames names) {
  names.shared_gate = "model.layers.{layer}.mlp.shared_expert.gate_proj.weight";
  names.shared_up = "model.layers.{layer}.mlp.shared_expert.up_proj.weight";
  names.shared_down = "model.layers.{layer}.mlp.shared_expert.down_proj.weight";
  names.shared_expert_gate = "model.layers.{layer}.mlp.shared_expert_gate.weight";
  return names;
}

/// Mixtral's own names; fused experts, being transformers' own form, lie where the others' do.
TensorNames with_block_sparse_moe(TensorNames names) {
  names.fused_router = names.router;
  names.router = "model.layers.{layer}.block_sparse_moe.gate.weight";
  names.expert_gate = "model.layers.{layer}.block_sparse_moe.experts.{expert}.w1.weight";
  names.expert_up = "model.layers.{layer}.block_sparse_moe.experts.{expert}.w3.weight";
  names.expert_down = "model.layers.{layer}.block_sparse_moe.experts.{expert}.w2.weight";
  return names;
}

const std::vector<Family>& families() {
  static const std::vector<Family> table = {
      {
          .model_type = "llama",
          .architecture = "LlamaForCausalLM",
          .switches = {.attention_bias = BiasRule::kSwitched, .mlp_bias = true},
          .defaults = {},
          .names = with_mlp_bias(llama_names()),
          .ignored_suffixes = {".self_attn.rotary_emb.inv_freq"},
      },
      {
          .model_type = "qwen3",
          .architecture = "Qwen3ForCausalLM",
          .switches = {.qk_norm = QkNorm::kPerHead,
                       .attention_bias = BiasRule::kSwitched,
                       .window = WindowRule::kLaterLayers},
          .defaults = {.num_kv_heads = 32, .head_dim = 128, .sliding_window = 4096},
          .names = with_qk_norm(llama_names()),
          .ignored_suffixes = {},
      },
      {
          .model_type = "qwen3_moe",
          .architecture = "Qwen3MoeForCausalLM",
          .switches = {.moe = true,
                       .dense_layers = true,
                       .qk_norm = QkNorm::kPerHead,
                       .attention_bias = BiasRule::kSwitched,
                       .window = WindowRule::kEveryLayerIfOn},
          .defaults = {.num_kv_heads = 4,
                       .num_experts = 128,
                       .top_k = 8,
                       .expert_width = 768,
                       .sliding_window = 4096},
          .names = with_experts(with_qk_norm(llama_names())),
          .ignored_suffixes = {},
      },
      {
          .model_type = "qwen2",
          .architecture = "Qwen2ForCausalLM",
          .switches = {.attention_bias = BiasRule::kQkv, .window = WindowRule::kLaterLayers},
          .defaults = {.num_kv_heads = 32, .sliding_window = 4096},
          .names = llama_names(),
          .ignored_suffixes = {".self_attn.rotary_emb.inv_freq"},
      },
      {
          .model_type = "olmoe",
          .architecture = "OlmoeForCausalLM",
          .switches = {.moe = true,
                       .expert_width_key = "intermediate_size",
                       .qk_norm = QkNorm::kAllHeads,
                       .attention_bias = BiasRule::kSwitched,
                       .clip_qkv = true},
          .defaults = {.rms_norm_eps = 1e-5, .num_experts = 64, .top_k = 8, .expert_width = 2048},
          .names = with_experts(with_qk_norm(llama_names())),
          .ignored_suffixes = {},
      },
      {
          .model_type = "mixtral",
          .architecture = "MixtralForCausalLM",
          .switches = {.moe = true,
                       .always_renormalized = true,
                       .num_experts_key = "num_local_experts",
                       .expert_width_key = "intermediate_size",
                       .window = WindowRule::kEveryLayer},
          .defaults = {.num_kv_heads = 8,
                       .rms_norm_eps = 1e-5,
                       .rope_theta = 1e6,
                       .num_experts = 8,
                       .top_k = 2,
                       .expert_width = 14336},
          .names = with_block_sparse_moe(with_experts(llama_names())),
          .ignored_suffixes = {},
      },
      {
          .model_type = "qwen2_moe",
          .architecture = "Qwen2MoeForCausalLM",
          .switches = {.moe = true,
                       .dense_layers = true,
                       .shared_expert = true,
                       .attention_bias = BiasRule::kQkvSwitched,
                       .window = WindowRule::kEvenLayers},
          .defaults = {.num_kv_heads = 16,
                       .num_experts = 60,
                       .top_k = 4,
                       .expert_width = 1408,
                       .shared_expert_width = 5632,
                       .sliding_window = 4096},
          .names = with_shared_expert(with_experts(llama_names())),
          .ignored_suffixes = {},
      },
  };
  return table;
}

void replace(std::string& text, std::string_view placeholder, int64_t value) {
  const size_t at = text.find(placeholder);
  if (at != std::string::npos) text.replace(at, placeholder.size(), std::to_string(value));
}

}  // namespace

FolderLayout::FolderLayout(const std::vector<ExpertLayout>& layers) {
  ExpertLayout first = ExpertLayout::kNone;
  bool uniform = true;
  for (const ExpertLayout layout : layers) {
    if (first == ExpertLayout::kNone) first = layout;
    uniform = uniform && (layout == first || layout == ExpertLayout::kNone);
  }
  layers_ = uniform ? std::vector<ExpertLayout>{first} : layers;
}

const Family& find_family(const std::string& model_type) {
  for (const Family& family : families()) {
    if (family.model_type == model_type) return family;
  }
  throw NotBuiltError(concat("model family ", in_quotes(model_type)))
      .expected("one of " + join(supported_families(), ", "))
      .found(concat("\"model_type\": ", in_quotes(model_type), " in config.json"));
}

std::vector<std::string> supported_families() {
  std::vector<std::string> names;
  for (const Family& family : families()) names.push_back(family.model_type);
  return names;
}

std::string fill(const std::string& name_template, int64_t layer, int64_t expert) {
  std::string name = name_template;
  replace(name, "{layer}", layer);
  if (expert >= 0) replace(name, "{expert}", expert);
  return name;
}

}  // namespace polygraft::model
