// model/architecture/rope.h: rotary position embedding (Su et al. 2021, RoFormer) with the scalings
// that configs name. Reference implementation: transformers 5.23, modeling_rope_utils.py and
// apply_rotary_pos_emb. Legend: T tokens, H heads, C channels of a head, L positions.
#pragma once
#include <ATen/ATen.h>

#include <vector>

#include "model/architecture/upload.h"
#include "model/checkpoint/model_config.h"

namespace polygraft::model {

/// Rotation speeds of the channel pairs, and the factor on cosine and sine that goes with them.
struct RopeFrequencies {
  at::Tensor inverse;             ///< float32 [C/2], radians per position
  double attention_factor = 1.0;  ///< yarn only
};

/// Computed in float32 step by step as the reference does, so that the bits agree.
/// @throws NotBuiltError for a rope type other than default, linear, llama3, yarn.
RopeFrequencies rope_frequencies(const ModelConfig& config);

/// Cosine and sine for every token of a batch, both [T, 1, C] in `dtype`, made once and used by all
/// layers.
struct RopeTable {
  at::Tensor cos_T1C, sin_T1C;

  RopeTable on(at::Device device) const {
    return {sent_to(device, cos_T1C), sent_to(device, sin_T1C)};
  }
};

/// @param position_T int64 (batch.h: token_positions).
RopeTable rope_table(const RopeFrequencies& frequencies, const at::Tensor& position_T,
                     at::ScalarType dtype);

/// x * cos + rotate_half(x) * sin, where rotate_half([a, b]) = [-b, a]. Differentiable in x; x is
/// left as it is.
/// @param x_THC dtype of the table.
at::Tensor apply_rope(const at::Tensor& x_THC, const RopeTable& table);

}  // namespace polygraft::model
