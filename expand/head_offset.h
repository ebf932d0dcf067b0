// expand/head_offset.h: one shared offset that keeps new output rows from taking probability on old
// text. Legend: D model width, N new-text tokens, O old-text tokens.
#pragma once
#include <ATen/ATen.h>

namespace polygraft::expand {

struct HeadOffsetOptions {
  double margin = 5.0;      ///< M: nats by which new rows fall on old contexts
  double old_weight = 8.0;  ///< beta
  double ridge = 1e-3;      ///< lambda, relative to the mean eigenvalue of the second moment
};

/// w = -M beta (G + lambda tr(G)/D I)^-1 mean_old(h), G = mean_new(h h') + beta mean_old(h h'): the
/// minimum of beta mean_old (w.h + M)^2 + mean_new (w.h)^2 + lambda tr(G)/D |w|^2. float64 inside.
/// The less new contexts look like old ones the less they are lowered: so the mark of new tokens is
/// to be in them (language_mark.h).
/// @param new_hidden_ND, old_hidden_OD final normed hidden states, additions masked but for input
/// rows. @return float32 [D].
/// @throws NumericError when the hidden states or the offset are not finite.
at::Tensor head_offset(const at::Tensor& new_hidden_ND, const at::Tensor& old_hidden_OD,
                       const HeadOffsetOptions& options);

}  // namespace polygraft::expand
