// model/architecture/stored_tensors.cpp: see stored_tensors.h.
#include "model/architecture/stored_tensors.h"

namespace polygraft::model {
namespace {

class StoredTensors {
 public:
  StoredTensors(const ModelConfig& config, const FolderLayout& layout,
                const StoredTensorVisitor& visit)
      : names_(find_family(config.family).names), layout_(layout), visit_(visit) {}

  void visit(Weights& weights) {
    rows(names_.embedding, weights.embedding);
    for (size_t i = 0; i < weights.layers.size(); ++i) {
      layer_ = static_cast<int64_t>(i);
      attention(weights.layers[i].attention);
      one(names_.mlp_norm, weights.layers[i].mlp_norm);
      weights.layers[i].is_moe ? moe(weights.layers[i].moe) : dense(weights.layers[i].dense);
    }
    one(names_.final_norm, weights.final_norm);
    if (!weights.tied) rows(names_.head, weights.head);
  }

 private:
  void one(const std::string& name_template, at::Tensor& tensor) {
    if (!tensor.defined()) return;
    std::vector<at::Tensor> parts{tensor};
    visit_(fill(name_template, layer_), parts);
    tensor = parts[0];
  }
  void rows(const std::string& name_template, SplitRows& split) {
    const RowLayout layout = split.layout();
    const bool in_one_piece = layout.placement.num_spare == 0;
    std::vector<at::Tensor> parts = {in_one_piece ? split.base
                                                  : split.base.narrow(0, 0, layout.first_added())};
    if (split.added.defined()) parts.push_back(split.added);
    const size_t behind = parts.size();
    if (layout.num_behind() > 0) {
      parts.push_back(split.base.narrow(0, layout.end_displaced(), layout.num_behind()));
    }
    if (const int64_t num_padding = layout.placement.num_padding; num_padding > 0) {
      const auto row = split.base.narrow(0, layout.placement.padding_row, 1);
      parts.push_back(row.repeat({num_padding, 1}));
    }
    visit_(fill(name_template, layer_), parts);
    if (split.added.defined()) split.added = parts[1];
    if (in_one_piece) {
      split.base = parts[0];
    } else if (split.base.is_meta()) {
      split.base = around_displaced(layout, parts[0],
                                    layout.num_behind() > 0 ? parts[behind] : at::Tensor());
    }
  }
  /// Base rows from before and behind the displaced ones, which are left open, in memory: they do
  /// not lie side by side in the file.
  static at::Tensor around_displaced(const RowLayout& layout, const at::Tensor& front,
                                     const at::Tensor& behind) {
    auto base = at::empty({layout.num_base, front.size(1)}, front.options().device(at::kCPU));
    base.narrow(0, 0, layout.first_added()).copy_(front);
    if (behind.defined()) {
      base.narrow(0, layout.end_displaced(), layout.num_behind()).copy_(behind);
    }
    return base;
  }
  /// `count` rows of one expert's matrix, from `first` on: a piece where the bank has it, or a
  /// part.
  void expert_rows(const std::string& name_template, SplitRows& bank, int64_t expert, int64_t first,
                   int64_t count) {
    const auto piece = static_cast<size_t>((expert * bank.base.size(1) + first) / count);
    const bool is_piece = piece < bank.pieces.size();
    const int64_t num_base = bank.num_base();
    const at::Tensor matrix =
        expert < num_base ? bank.base.select(0, expert) : bank.added.select(0, expert - num_base);
    const at::Tensor view = is_piece ? bank.pieces[piece] : matrix.narrow(0, first, count);
    std::vector<at::Tensor> parts{view};
    visit_(fill(name_template, layer_, expert), parts);
    if (parts[0].is_same(view)) return;
    TORCH_INTERNAL_ASSERT(!is_piece);
    bank.pieces.push_back(parts[0]);
  }

  void attention(AttentionWeights& weights) {
    one(names_.attention_norm, weights.norm);
    one(names_.query, weights.query);
    one(names_.key, weights.key);
    one(names_.value, weights.value);
    one(names_.output, weights.output);
    one(names_.query_bias, weights.query_bias);
    one(names_.key_bias, weights.key_bias);
    one(names_.value_bias, weights.value_bias);
    one(names_.output_bias, weights.output_bias);
    one(names_.query_norm, weights.query_norm);
    one(names_.key_norm, weights.key_norm);
  }

  void dense(DenseWeights& weights) {
    one(names_.dense_gate, weights.gate);
    one(names_.dense_up, weights.up);
    one(names_.dense_down, weights.down);
    one(names_.dense_gate_bias, weights.gate_bias);
    one(names_.dense_up_bias, weights.up_bias);
    one(names_.dense_down_bias, weights.down_bias);
  }

  void shared_expert(MoeWeights& weights) {
    one(names_.shared_gate, weights.shared.gate);
    one(names_.shared_up, weights.shared.up);
    one(names_.shared_down, weights.shared.down);
    one(names_.shared_expert_gate, weights.shared_gate);
  }

  void moe(MoeWeights& weights) {
    const ExpertLayout layout = layout_.of(layer_);
    rows(names_.router_of(layout), weights.router);
    shared_expert(weights);
    if (layout == ExpertLayout::kFused) {
      rows(names_.fused_gate_up, weights.gate_up);
      rows(names_.fused_down, weights.down);
      return;
    }
    const int64_t width = weights.down.base.size(2);
    for (int64_t e = 0; e < weights.down.num_base() + weights.down.num_added(); ++e) {
      expert_rows(names_.expert_gate, weights.gate_up, e, 0, width);
      expert_rows(names_.expert_up, weights.gate_up, e, width, width);
      expert_rows(names_.expert_down, weights.down, e, 0, weights.down.base.size(1));
    }
  }

  const TensorNames& names_;
  const FolderLayout& layout_;
  const StoredTensorVisitor& visit_;
  int64_t layer_ = -1;
};

using Shape = std::vector<int64_t>;

SplitRows allocate_rows(int64_t num_base, int64_t num_added, Shape row_shape,
                        const at::TensorOptions& options, at::DeviceType added = at::kCPU) {
  const auto rows = [&](int64_t count, at::Device device) {
    Shape shape = {count};
    shape.insert(shape.end(), row_shape.begin(), row_shape.end());
    return at::empty(shape, options.device(device));
  };
  return {rows(num_base, options.device()), num_added > 0 ? rows(num_added, added) : at::Tensor()};
}

AttentionWeights allocate_attention(const ModelConfig& config, const at::TensorOptions& options) {
  const int64_t width = config.hidden_size;
  const int64_t query_rows = config.num_heads * config.head_dim;
  const int64_t key_rows = config.num_kv_heads * config.head_dim;
  AttentionWeights weights;
  weights.norm = at::empty({width}, options);
  weights.query = at::empty({query_rows, width}, options);
  weights.key = at::empty({key_rows, width}, options);
  weights.value = at::empty({key_rows, width}, options);
  weights.output = at::empty({width, query_rows}, options);
  if (config.qkv_bias) {
    weights.query_bias = at::empty({query_rows}, options);
    weights.key_bias = at::empty({key_rows}, options);
    weights.value_bias = at::empty({key_rows}, options);
  }
  if (config.output_bias) weights.output_bias = at::empty({width}, options);
  if (config.qk_norm != QkNorm::kNone) {
    const bool per_head = config.qk_norm == QkNorm::kPerHead;
    weights.query_norm = at::empty({per_head ? config.head_dim : query_rows}, options);
    weights.key_norm = at::empty({per_head ? config.head_dim : key_rows}, options);
  }
  return weights;
}

DenseWeights allocate_dense(int64_t model_width, int64_t width, bool with_bias,
                            const at::TensorOptions& options) {
  DenseWeights weights;
  weights.gate = at::empty({width, model_width}, options);
  weights.up = at::empty({width, model_width}, options);
  weights.down = at::empty({model_width, width}, options);
  if (!with_bias) return weights;
  weights.gate_bias = at::empty({width}, options);
  weights.up_bias = at::empty({width}, options);
  weights.down_bias = at::empty({model_width}, options);
  return weights;
}

LayerWeights allocate_layer(const ModelConfig& config, bool is_moe, int64_t base_experts,
                            const at::TensorOptions& options, at::DeviceType added_experts) {
  const int64_t width = config.hidden_size;
  LayerWeights layer;
  layer.attention = allocate_attention(config, options);
  layer.mlp_norm = at::empty({width}, options);
  layer.is_moe = is_moe;
  if (is_moe) {
    const int64_t added = config.num_experts - base_experts;
    layer.moe.router = allocate_rows(base_experts, added, {width}, options);
    layer.moe.gate_up = allocate_rows(base_experts, added, {2 * config.expert_width, width},
                                      options, added_experts);
    layer.moe.down =
        allocate_rows(base_experts, added, {width, config.expert_width}, options, added_experts);
    if (config.shared_expert_width > 0) {
      layer.moe.shared = allocate_dense(width, config.shared_expert_width, false, options);
      layer.moe.shared_gate = at::empty({1, width}, options);
    }
  } else {
    layer.dense = allocate_dense(width, config.dense_width, config.mlp_bias, options);
  }
  return layer;
}

}  // namespace

Weights allocate_weights(const ModelConfig& config, SplitCounts counts, at::ScalarType dtype,
                         WeightDevices devices) {
  const auto options = at::TensorOptions(dtype).device(devices.base);
  const auto vocab = [&] {
    SplitRows rows =
        allocate_rows(counts.vocab.num_base, counts.vocab.num_added, {config.hidden_size}, options);
    rows.placement = counts.vocab.placement;
    return rows;
  };
  Weights weights;
  weights.embedding = vocab();
  weights.tied = config.tied_embeddings;
  weights.head = weights.tied ? weights.embedding : vocab();
  weights.final_norm = at::empty({config.hidden_size}, options);
  for (int64_t i = 0; i < config.num_layers; ++i) {
    weights.layers.push_back(allocate_layer(config, config.layer_is_moe.at(i), counts.base_experts,
                                            options, devices.added_experts));
  }
  return weights;
}

void for_each_stored_tensor(Weights& weights, const ModelConfig& config, const FolderLayout& layout,
                            const StoredTensorVisitor& visit) {
  StoredTensors(config, layout, visit).visit(weights);
}

}  // namespace polygraft::model
