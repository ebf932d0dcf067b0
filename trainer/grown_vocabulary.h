// trainer/grown_vocabulary.h: a whole model continued under an extended tokenizer. For a base that
// stays as it is, `expand graft` brings rows as additions; here nothing is frozen, and each new
// token's row begins as the mean of the rows of the tokens that it replaces.
#pragma once
#include "model/architecture/weights.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::trainer {

/// Gives `weights` added rows for the tokens that `extended` has beyond `own`, where they belong
/// (model/checkpoint/row_layout.h); config.vocab_rows counts them.
/// @throws ConfigError when `extended` is no extension of `own`.
void grow_vocabulary(const tokenizer::Tokenizer& own, const tokenizer::Tokenizer& extended,
                     model::ModelConfig& config, model::Weights& weights);

}  // namespace polygraft::trainer
