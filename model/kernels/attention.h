// model/kernels/attention.h: causal softmax attention of sequences laid end to end, grouped
// queries, forward and backward, float32, on raw pointers:
//   s_ij = <q_i, k_j> / sqrt(C) for j <= i;  p = softmax(s);  o_i = sum_j p_ij v_j
// and backward, recomputing p from each row's log-sum (Dao et al. 2022, FlashAttention):
//   dv_j = sum_i p_ij do_i;  ds_ij = p_ij (<do_i, v_j> - <do_i, o_i>);  dq, dk from ds as s's
//   product
// Some queries at a time, so that their scores stay in a core's cache and never exist as a whole.
// A row's bits depend on its own sequence and head alone, not on the threads.
// Legend: T tokens, H query heads, J key and value heads, C channels of a head.
#pragma once
#include <vector>

#include "model/kernels/moe.h"

namespace polygraft::kernels {

struct AttentionShape {
  int64_t num_heads = 0, num_kv_heads = 0, head_dim = 0;
  std::vector<int64_t> first_token;  ///< of each sequence, and T at the end

  int64_t num_sequences() const { return static_cast<int64_t>(first_token.size()) - 1; }
  int64_t num_tokens() const { return first_token.back(); }
};

/// @param q, out [T, H, C]. @param k, v [T, J, C]. @param log_sum [T, H], the logarithm of the sum
/// of exp(s), which backward wants. `out` and `log_sum` are written.
struct AttentionForward {
  const float *q = nullptr, *k = nullptr, *v = nullptr;
  float *out = nullptr, *log_sum = nullptr;
};
void attention_forward(const Runner& runner, const AttentionShape& shape,
                       const AttentionForward& forward);

/// All that forward had and wrote, the gradient of `out`, and where gradients go: each is written.
struct AttentionBackward {
  const float *q = nullptr, *k = nullptr, *v = nullptr;
  const float *out = nullptr, *log_sum = nullptr, *d_out = nullptr;
  float *d_q = nullptr, *d_k = nullptr, *d_v = nullptr;
};
void attention_backward(const Runner& runner, const AttentionShape& shape,
                        const AttentionBackward& backward);

}  // namespace polygraft::kernels
