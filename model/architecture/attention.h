// model/architecture/attention.h: causal self-attention over sequences laid end to end, grouped
// queries, optional q/k norm, bound and window. Reference implementation: transformers 5.23,
// Qwen3MoeAttention, LlamaAttention, OlmoeAttention with the sdpa interface. Legend: T tokens, D
// model width, H query heads, C channels of a head.
#pragma once
#include <ATen/ATen.h>

#include <vector>

#include "model/architecture/batch.h"
#include "model/architecture/key_value_cache.h"
#include "model/architecture/rope.h"
#include "model/architecture/weights.h"

namespace polygraft::model {

/// Consecutive sequences of equal length, attended to in one call: rows of a training batch form a
/// single group. One with branches is a group of its own.
struct SequenceGroup {
  int64_t num_sequences = 0;
  int64_t length = 0;
  std::vector<int64_t> branches = {};
  int64_t num_tokens() const { return num_sequences * length; }
};

std::vector<SequenceGroup> group_sequences(const Batch& batch);

/// What a layer's weights do not say of its attention.
struct AttentionRule {
  int64_t head_dim = 0;
  double norm_eps = 0;  ///< of the q/k norm
  double clip = 0;      ///< largest absolute value of queries, keys and values; 0: no bound
  int64_t window = 0;   ///< tokens that a token sees, itself included; 0: all before it

  static AttentionRule of(const ModelConfig& config, size_t layer) {
    return {config.head_dim, config.rms_norm_eps, config.clip_qkv, config.window_of(layer)};
  }
};

/// The part of a layer between the norm and the residual addition. @param x_TD normed input.
/// @param caches for each sequence what it saw before x, and its part of x as well afterwards; or
/// none.
/// @return [T, D].
at::Tensor attention(const at::Tensor& x_TD, const AttentionWeights& weights,
                     const AttentionRule& rule, const RopeTable& rope,
                     const std::vector<SequenceGroup>& groups,
                     const std::vector<LayerCache*>& caches = {});

}  // namespace polygraft::model
