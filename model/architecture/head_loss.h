// model/architecture/head_loss.h: output head and loss in chunks of tokens; all logits never exist
// at once. Gradients are formed inside each chunk (explicit backward): dH for every token, dW for
// the added rows (and for the base rows only when they require grad). Legend: T tokens, D model
// width, V base rows, v added rows. Padding rows take part in every softmax but the head leak's.
#pragma once
#include <ATen/ATen.h>

#include "model/architecture/weights.h"

namespace polygraft::model {

/// Tokens per chunk: about 2 MiB of float32 logits, which a core's cache holds, from 64 tokens
/// to 512, but 256 for a large vocabulary, whose rows are read and packed anew for every chunk; on
/// a GPU, whose products want more rows, 256 MiB, from 256 tokens to 16,384. Depends on the base's
/// rows alone: with additions masked the products then have the base's shapes, hence its bits.
int64_t head_chunk_tokens(int64_t num_base_rows, bool on_gpu);

/// Sum over scored tokens of the cross-entropy (nats), float32 scalar, differentiable in hidden and
/// head.
at::Tensor cross_entropy_sum(const at::Tensor& hidden_TD, const at::Tensor& targets_T,
                             const SplitRows& head);

/// Sum over tokens of KL(base || expanded) in nats: the base's distribution (from
/// `base_hidden_TD`, no gradient) over those of its V rows that no added row displaces, where it is
/// to sum to one, against the expanded model's over all stored rows. Differentiable in
/// hidden and in the head's added rows.
at::Tensor kl_to_base_sum(const at::Tensor& base_hidden_TD, const at::Tensor& hidden_TD,
                          const SplitRows& head);

/// Sum over tokens of softplus(logsumexp_v(e_v h) - logsumexp(E_base h)): the mass that added rows
/// take from the base rows that are left in place, as the old text's head cost in nats. Gradient to
/// the added rows only (hidden is detached).
at::Tensor head_leak_sum(const at::Tensor& hidden_TD, const SplitRows& head);

}  // namespace polygraft::model
