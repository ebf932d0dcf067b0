// model/checkpoint/expected_tensors.cpp: see expected_tensors.h.
// The order within a layer is that of transformers' Qwen3MoeForCausalLM.state_dict(): attention,
// feed-forward (experts before the router), the two norms.
#include "model/checkpoint/expected_tensors.h"

namespace polygraft::model {
namespace {

class Walk {
 public:
  Walk(const ModelConfig& config, const FolderLayout& layout, const ExpectedVisitor& visit)
      : config_(config), names_(find_family(config.family).names), layout_(layout), visit_(visit) {}

  void run() {
    const int64_t D = config_.hidden_size;
    emit(names_.embedding, {config_.vocab_rows, D}, "vocab_size x hidden_size");
    for (layer_ = 0; layer_ < config_.num_layers; ++layer_) layer();
    emit(names_.final_norm, {D}, "hidden_size");
    if (!config_.tied_embeddings) {
      emit(names_.head, {config_.vocab_rows, D}, "vocab_size x hidden_size");
    }
  }

 private:
  void layer() {
    attention();
    if (config_.layer_is_moe.at(static_cast<size_t>(layer_))) {
      experts();
      if (config_.shared_expert_width > 0) shared_expert();
      emit(names_.router_of(layout_.of(layer_)), {config_.num_experts, config_.hidden_size},
           "num_experts x hidden_size, one row per expert");
    } else {
      dense();
    }
    emit(names_.attention_norm, {config_.hidden_size}, "hidden_size");
    emit(names_.mlp_norm, {config_.hidden_size}, "hidden_size");
  }

  void attention() {
    const int64_t D = config_.hidden_size;
    const int64_t queries = config_.num_heads * config_.head_dim;
    const int64_t keys = config_.num_kv_heads * config_.head_dim;
    constexpr std::string_view kQuery = "num_attention_heads * head_dim x hidden_size";
    constexpr std::string_view kKey = "num_key_value_heads * head_dim x hidden_size";
    constexpr std::string_view kOutput = "hidden_size x num_attention_heads * head_dim";
    with_bias(names_.query, names_.query_bias, queries, D, config_.qkv_bias, kQuery);
    with_bias(names_.key, names_.key_bias, keys, D, config_.qkv_bias, kKey);
    with_bias(names_.value, names_.value_bias, keys, D, config_.qkv_bias, kKey);
    with_bias(names_.output, names_.output_bias, D, queries, config_.output_bias, kOutput);
    if (config_.qk_norm == QkNorm::kNone) return;
    const bool per_head = config_.qk_norm == QkNorm::kPerHead;
    emit(names_.query_norm, {per_head ? config_.head_dim : queries},
         per_head ? "head_dim" : "num_attention_heads * head_dim");
    emit(names_.key_norm, {per_head ? config_.head_dim : keys},
         per_head ? "head_dim" : "num_key_value_heads * head_dim");
  }

  void dense() {
    const int64_t D = config_.hidden_size, F = config_.dense_width;
    constexpr std::string_view kIn = "intermediate_size x hidden_size";
    with_bias(names_.dense_gate, names_.dense_gate_bias, F, D, config_.mlp_bias, kIn);
    with_bias(names_.dense_up, names_.dense_up_bias, F, D, config_.mlp_bias, kIn);
    with_bias(names_.dense_down, names_.dense_down_bias, D, F, config_.mlp_bias,
              "hidden_size x intermediate_size");
  }

  void experts() {
    const int64_t D = config_.hidden_size, F = config_.expert_width, E = config_.num_experts;
    if (layout_.of(layer_) == ExpertLayout::kFused) {
      emit(names_.fused_gate_up, {E, 2 * F, D},
           "num_experts x 2 * the width of an expert x hidden_size");
      emit(names_.fused_down, {E, D, F}, "num_experts x hidden_size x the width of an expert");
      return;
    }
    for (expert_ = 0; expert_ < E; ++expert_) {
      emit(names_.expert_gate, {F, D}, "the width of an expert x hidden_size");
      emit(names_.expert_up, {F, D}, "the width of an expert x hidden_size");
      emit(names_.expert_down, {D, F}, "hidden_size x the width of an expert");
    }
  }

  void shared_expert() {
    const int64_t D = config_.hidden_size, F = config_.shared_expert_width;
    constexpr std::string_view kIn = "shared_expert_intermediate_size x hidden_size";
    emit(names_.shared_gate, {F, D}, kIn);
    emit(names_.shared_up, {F, D}, kIn);
    emit(names_.shared_down, {D, F}, "hidden_size x shared_expert_intermediate_size");
    emit(names_.shared_expert_gate, {1, D}, "1 x hidden_size");
  }

  void with_bias(const std::string& weight, const std::string& bias, int64_t rows, int64_t columns,
                 bool has_bias, std::string_view meaning) {
    emit(weight, {rows, columns}, meaning);
    if (has_bias) emit(bias, {rows}, "one per output row of the projection");
  }

  void emit(const std::string& name_template, std::vector<int64_t> shape,
            std::string_view meaning) {
    visit_({fill(name_template, layer_, expert_), config_.dtype, std::move(shape)}, meaning);
  }

  const ModelConfig& config_;
  const TensorNames& names_;
  const FolderLayout& layout_;
  const ExpectedVisitor& visit_;
  int64_t layer_ = 0, expert_ = 0;
};

}  // namespace

void visit_expected_tensors(const ModelConfig& config, const FolderLayout& layout,
                            const ExpectedVisitor& visit) {
  Walk(config, layout, visit).run();
}

std::vector<TensorSpec> expected_tensors(const ModelConfig& config, const FolderLayout& layout) {
  std::vector<TensorSpec> specs;
  visit_expected_tensors(config, layout,
                         [&](const TensorSpec& spec, std::string_view) { specs.push_back(spec); });
  return specs;
}

}  // namespace polygraft::model
