// model/architecture/token_nll.h: what each token costs, for scoring. Logits exist for some tokens
// and a block of rows at a time, small enough for a cache: of a large vocabulary's, writing and
// reading them would take as long as the product. Legend: T tokens, D model width.
#pragma once
#include <ATen/ATen.h>

#include "model/architecture/weights.h"

namespace polygraft::model {

/// Negative log-likelihood in nats per token, no gradient. @param targets_T int64; -1 = not scored
/// (0 is returned there).
/// @param mask_added leave added rows out of the softmax. @return float64 [T].
at::Tensor token_nll(const at::Tensor& hidden_TD, const at::Tensor& targets_T,
                     const SplitRows& head, bool mask_added = false);

/// What every added row on, and every one off, give for the same hidden states: the bits of two
/// token_nll() calls for one product with the base's rows. `masked_T` is 0 for a target that the
/// base lacks.
struct TokenNll {
  at::Tensor all_T, masked_T;  ///< float64
};
TokenNll token_nll_both_ways(const at::Tensor& hidden_TD, const at::Tensor& targets_T,
                             const SplitRows& head);

/// Throws ConfigError if a target is not below `num_rows`.
void check_targets(const at::Tensor& targets_T, int64_t num_rows);

}  // namespace polygraft::model
