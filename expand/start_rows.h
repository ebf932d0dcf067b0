// expand/start_rows.h: the values that new vocabulary rows begin with, input and output.
//   mean        of the rows of the old tokens that a new token stands for (its sub-tokens)
//   norm_mean   the same, scaled to the mean norm of those rows: averaging shortens
//   omp         a sparse combination of old rows, its coefficients found where both new and old
//               tokens have a vector: in the base's own contexts (context_means.h)
// Orthogonal matching pursuit carries tokens from one model to another by writing a token as a
// combination of shared ones in the donor's embeddings and taking the same combination in the
// base's (Goddard & Neto 2025, arXiv 2506.06607). Here there is one model, so the donor's space is
// the mean context: of the states after a token for input rows, which stand for what has been read;
// of the states before it for output rows, which are matched with what is to come. A tied row is
// both, so its coefficients fit the two contexts side by side.
// Legend: V base vocabulary rows, v new rows, D model width.
#pragma once
#include <ATen/ATen.h>

#include <string>

#include "expand/context_means.h"
#include "expand/vocabulary_rows.h"
#include "model/architecture/weights.h"

namespace polygraft::expand {

struct StartRows {
  at::Tensor input_vD;   ///< float32
  at::Tensor output_vD;  ///< float32; undefined where input rows serve as output rows
};

/// @param own_head whether new output rows are apart from the input rows.
/// @param init "mean" or "norm_mean".
StartRows averaged_rows(const model::Weights& base, const TokenParts& parts,
                        const std::string& init, bool own_head);

struct PursuitOptions {
  int64_t num_old = 0;     ///< tokens of the old tokenizer; new ids start there
  int64_t most_atoms = 8;  ///< old rows that make up a new one
  int64_t least_seen = 4;  ///< tokens seen less often have no context: a new one gets the mean
};

/// Contexts and rows are centred on the old tokens' means, so that a new token in an old one's
/// context gets that one's row. @param contexts of old and new tokens.
StartRows pursued_rows(const model::Weights& base, const TokenParts& parts,
                       const ContextMeans& contexts, bool own_head, const PursuitOptions& options);

}  // namespace polygraft::expand
