// model/architecture/attention.h: causal self-attention over sequences laid end to end, grouped
// queries, optional q/k norm. Reference implementation: transformers 5.23, Qwen3MoeAttention /
// LlamaAttention with the sdpa interface. Legend: T tokens, D model width, H query heads, C
// channels of a head.
#pragma once
#include <ATen/ATen.h>

#include <vector>

#include "model/architecture/rope.h"
#include "model/architecture/weights.h"

namespace polygraft::model {

/// Consecutive sequences of equal length, attended to in one call: rows of a training batch form a
/// single group.
struct SequenceGroup {
  int64_t num_sequences = 0;
  int64_t length = 0;
  int64_t num_tokens() const { return num_sequences * length; }
};

std::vector<SequenceGroup> group_sequences(const std::vector<int64_t>& lengths);

/// The part of a layer between the norm and the residual addition. @param x_TD normed input.
/// @return [T, D].
at::Tensor attention(const at::Tensor& x_TD, const AttentionWeights& weights,
                     const ModelConfig& config, const RopeTable& rope,
                     const std::vector<SequenceGroup>& groups);

}  // namespace polygraft::model
