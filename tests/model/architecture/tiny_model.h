// tests/model/architecture/tiny_model.h: small random models, with and without additions.
#pragma once
#include "model/architecture/transformer.h"

namespace polygraft::testing {

inline model::ModelConfig tiny_config() {
  model::ModelConfig config;
  config.family = "qwen3_moe";
  config.num_layers = 2;
  config.hidden_size = 16;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 8;
  config.vocab_rows = 40;
  config.dense_width = 24;
  config.expert_width = 12;
  config.num_experts = 6;
  config.top_k = 2;
  config.renormalize_top_k = true;
  config.layer_is_moe = {true, true};
  config.qk_norm = model::QkNorm::kPerHead;
  config.max_positions = 64;
  config.dtype = model::Dtype::kF32;
  return config;
}

/// random_weights starts near zero; here the parts are large enough for every one of them to
/// matter.
inline model::Weights lively_weights(const model::ModelConfig& config, uint64_t seed) {
  auto weights = model::random_weights(config, seed, at::kFloat);
  at::manual_seed(seed);
  weights.for_each([](const std::string& name, at::Tensor& tensor) {
    if (name.find("norm") != std::string::npos) {
      tensor.uniform_(0.5, 1.5);
    } else {
      tensor.normal_(0, 0.3);
    }
  });
  return weights;
}

/// The same base tensors (shared), with random additions.
inline model::Weights grown(const model::Weights& base, int64_t num_experts,
                            int64_t num_vocab_rows) {
  const auto rows = [](const model::SplitRows& of, int64_t count) {
    auto shape = of.base.sizes().vec();
    shape[0] = count;
    return at::empty(shape, of.base.options()).normal_(0, 0.5);
  };
  model::Weights weights = base;
  if (num_vocab_rows > 0) {
    weights.embedding.added = rows(base.embedding, num_vocab_rows);
    weights.head.added = base.tied ? weights.embedding.added : rows(base.head, num_vocab_rows);
  }
  for (auto& layer : weights.layers) {
    if (!layer.is_moe || num_experts == 0) continue;
    layer.moe.router.added = rows(layer.moe.router, num_experts);
    layer.moe.gate_up.added = rows(layer.moe.gate_up, num_experts);
    layer.moe.down.added = rows(layer.moe.down, num_experts);
  }
  return weights;
}

inline model::Batch random_batch(std::vector<int64_t> lengths, int64_t num_ids) {
  int64_t num_tokens = 0;
  for (const int64_t length : lengths) num_tokens += length;
  return {at::randint(0, num_ids, {num_tokens}, at::kLong), std::move(lengths)};
}

}  // namespace polygraft::testing
