// expand/padding_row.h: which old row padding copies.
#pragma once
#include <ATen/ATen.h>

namespace polygraft::expand {

/// The token that old text makes least likely: copies of its row take the least from the others.
/// @param hidden_TD final states on old text. @param head_VD the base's output rows.
/// @param num_tokens rows of tokens, in front. @return the row below num_tokens with the least mean
/// probability under the softmax over V rows; the first of equal ones.
int64_t least_probable_row(const at::Tensor& hidden_TD, const at::Tensor& head_VD,
                           int64_t num_tokens);

}  // namespace polygraft::expand
