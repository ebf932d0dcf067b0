// trainer/grown_vocabulary.h: a whole model continued under an extended tokenizer. For a base that
// stays as it is, `expand graft` brings rows as additions; here nothing is frozen, and each new
// token's row begins as the mean of the rows of the tokens that it replaces.
#pragma once
#include "model/architecture/weights.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::trainer {

/// Where the rows of the tokens go that `extended` has beyond `own`, the tokenizer of a model with
/// `num_rows` of them. Without padding. @throws ConfigError when `extended` is no extension of
/// `own`, or `own` has tokens without a row.
model::RowLayout grown_layout(const tokenizer::Tokenizer& own, const tokenizer::Tokenizer& extended,
                              int64_t num_rows);

/// Gives `weights` added rows for these tokens; config.vocab_rows counts them. @throws as
/// grown_layout().
void grow_vocabulary(const tokenizer::Tokenizer& own, const tokenizer::Tokenizer& extended,
                     model::ModelConfig& config, model::Weights& weights);

}  // namespace polygraft::trainer
