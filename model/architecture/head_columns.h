// model/architecture/head_columns.h: logits of base and added rows, which are separate products,
// put into the stored rows' order, and their gradients taken apart again. A padding row copies a
// base row, so its logit is that row's and needs no product of its own. Legend: T tokens, V base
// rows, v added rows, N stored rows (V + v, less displaced base rows, plus padding), K base rows
// that are not displaced.
#pragma once
#include <ATen/ATen.h>

#include "model/checkpoint/row_layout.h"

namespace polygraft::model {

/// @param added_Tv undefined when there are none. @return [T, N], the dtype of `base_TV`.
at::Tensor in_stored_order(const at::Tensor& base_TV, const at::Tensor& added_Tv,
                           const RowLayout& layout);

/// [T, K]: the columns of base rows that an expansion keeps in place. A view of `base_TV` where it
/// displaces none.
at::Tensor kept_columns(const at::Tensor& base_TV, const RowLayout& layout);

/// [T, K]: the same columns out of the stored order. A view where the base is all in front.
at::Tensor kept_columns_of_stored(const at::Tensor& stored_TN, const RowLayout& layout);

/// [T, V] gradients of base logits from those of stored ones: a displaced row's is zero, and the
/// copied row has its padding's as well. A view where nothing is displaced or padded.
at::Tensor base_gradient(const at::Tensor& d_stored_TN, const RowLayout& layout);

/// [T, v]: a view.
at::Tensor added_columns(const at::Tensor& stored_TN, const RowLayout& layout);

}  // namespace polygraft::model
