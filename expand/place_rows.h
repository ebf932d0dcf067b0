// expand/place_rows.h: where a plan's new vocabulary rows go.
#pragma once
#include "model/checkpoint/row_layout.h"

namespace polygraft::expand {

/// `num_added` tokens behind the `num_tokens` of a base with `num_base` rows: into its spare rows
/// first. A matrix that grows, and whose rows were a multiple of `pad_to`, is padded to one (0 or
/// 1: never); which row the padding copies is left to the caller.
inline model::RowLayout place_rows(int64_t num_base, int64_t num_tokens, int64_t num_added,
                                   int64_t pad_to) {
  model::RowLayout layout{num_base, num_added, {}};
  if (num_added == 0) return layout;
  layout.placement.num_spare = num_base - num_tokens;
  const bool pads = layout.num_rows() > num_base && pad_to > 1 && num_base % pad_to == 0;
  if (pads) layout.placement.num_padding = (pad_to - layout.num_rows() % pad_to) % pad_to;
  return layout;
}

}  // namespace polygraft::expand
