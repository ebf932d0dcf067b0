// cli/evaluate.h: bits per byte of a model folder over a corpus's held-out text; `eval bpb` and the
// pipeline share it.
#pragma once
#include "eval/results.h"
#include "model/architecture/transformer.h"
#include "model/checkpoint/model_folder.h"
#include "tokenizer/corpus.h"

namespace polygraft::cli {

/// @throws ConfigError when a language has no held-out text.
eval::BpbResult evaluate_bpb(const model::ModelFolder& folder, const tokenizer::Corpus& corpus,
                             model::Mask mask);

}  // namespace polygraft::cli
