// expand/vocabulary_rows.h: start values of new vocabulary rows: means over the tokens that a new
// token replaces. Legend: V base vocabulary rows, v new rows, D model width.
#pragma once
#include <ATen/ATen.h>

#include <filesystem>
#include <vector>

#include "core/json.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::expand {

using TokenParts = std::vector<std::vector<tokenizer::TokenId>>;

/// For each new token the old tokens it replaces. New merges come after all old ones, so wherever a
/// new token appears, the old tokenizer had exactly the leaves of its merge tree: taken from the
/// merges themselves, because encoding the token's bytes alone could be cut differently by the
/// pre-tokenizer, and they need not be valid UTF-8.
/// @param tokenizer_json of `extended`. @param num_old tokens of the old tokenizer; new ids start
/// there.
/// @throws FormatError when a new token is made by no merge.
TokenParts read_token_parts(const Json& tokenizer_json, const tokenizer::Tokenizer& extended,
                            int64_t num_old, const std::filesystem::path& file);

/// Row i is the mean of the rows of parts[i]. @param rows_VD any float type. @return float32 [v,
/// D].
at::Tensor mean_rows(const at::Tensor& rows_VD, const TokenParts& parts);

/// The same, each row scaled to the mean norm of the rows it averages (a mean of zero stays).
at::Tensor norm_mean_rows(const at::Tensor& rows_VD, const TokenParts& parts);

}  // namespace polygraft::expand
