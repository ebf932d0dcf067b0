// expand/vocabulary_rows.h: start values of new vocabulary rows: means over the tokens that a new
// token replaces. Legend: V base vocabulary rows, v new rows, D model width.
#pragma once
#include <ATen/ATen.h>

#include <vector>

#include "tokenizer/tokenizer.h"

namespace polygraft::expand {

/// For each new token the old ones it replaces (tokenizer/base_view.h).
using TokenParts = std::vector<std::vector<tokenizer::TokenId>>;

/// Row i is the mean of the rows of parts[i]. @param rows_VD any float type. @return float32 [v,
/// D].
at::Tensor mean_rows(const at::Tensor& rows_VD, const TokenParts& parts);

/// The same, each row scaled to the mean norm of the rows it averages (a mean of zero stays).
at::Tensor norm_mean_rows(const at::Tensor& rows_VD, const TokenParts& parts);

}  // namespace polygraft::expand
