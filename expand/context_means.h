// expand/context_means.h: where tokens stand in text, as the base sees it: the mean of its final
// hidden states just before and just after each token.
// Legend: S tokens seen, D model width.
#pragma once
#include <ATen/ATen.h>

#include <vector>

#include "expand/sequences.h"
#include "expand/vocabulary_rows.h"
#include "model/architecture/transformer.h"
#include "model/parallel/team.h"

namespace polygraft::expand {

struct ContextMeans {
  std::vector<tokenizer::TokenId> id_S;  ///< ascending; new tokens have ids from num_old on
  at::Tensor seen_S;                     ///< int64: how often
  at::Tensor before_SD;  ///< float64: of the states that predict the token, or its first sub-token
  at::Tensor after_SD;   ///< float64: of the states that have read it, or its last sub-token
};

/// Runs the base over `sequences`, in which each new token is replaced by the old tokens it stands
/// for: the text is then cut as the base's tokenizer cuts it. A sequence that gets longer than the
/// base's context is cut there. The first position of a sequence is no token's.
/// @param parts of the new tokens. @param num_old tokens of the old tokenizer. @param team shares
/// the text out; the means are the same on all.
ContextMeans collect_contexts(const model::Transformer& base,
                              const std::vector<Sequence>& sequences, const TokenParts& parts,
                              int64_t num_old, const parallel::Team& team = {});

}  // namespace polygraft::expand
