// model/architecture/attention.h: causal self-attention over sequences laid end to end, grouped
// queries, optional q/k norm, bound and window. Reference implementation: transformers 5.23,
// Qwen3MoeAttention, LlamaAttention, OlmoeAttention with the sdpa interface. Legend: T tokens, D
// model width, H query heads, C channels of a head.
#pragma once
#include <ATen/ATen.h>

#include <vector>

#include "model/architecture/key_value_cache.h"
#include "model/architecture/rope.h"
#include "model/architecture/sequence_layout.h"
#include "model/architecture/weights.h"
#include "model/device/executor.h"

namespace polygraft::model {

/// What a layer's weights do not say of its attention.
struct AttentionRule {
  int64_t head_dim = 0;
  double norm_eps = 0;  ///< of the q/k norm
  double clip = 0;      ///< largest absolute value of queries, keys and values; 0: no bound
  int64_t window = 0;   ///< tokens that a token sees, itself included; 0: all before it
  device::Executor* executor = nullptr;  ///< of a GPU, for the q/k norm

  static AttentionRule of(const ModelConfig& config, size_t layer, device::Executor* executor) {
    return {config.head_dim, config.rms_norm_eps, config.clip_qkv, config.window_of(layer),
            executor};
  }
};

/// The part of a layer between the norm and the residual addition. @param x_TD normed input.
/// @param caches for each sequence what it saw before x, and its part of x as well afterwards; or
/// none.
/// @return [T, D].
at::Tensor attention(const at::Tensor& x_TD, const AttentionWeights& weights,
                     const AttentionRule& rule, const RopeTable& rope, const SequenceLayout& layout,
                     const std::vector<LayerCache*>& caches = {});

}  // namespace polygraft::model
