// cli/evaluate.h: a model folder measured: bits per byte of a corpus's held-out text, multiple
// choice. The commands and the pipeline share it.
#pragma once
#include "eval/choice.h"
#include "eval/results.h"
#include "model/architecture/transformer.h"
#include "model/checkpoint/model_folder.h"
#include "tokenizer/corpus.h"

namespace polygraft::cli {

/// "all" or "none". @throws NotBuiltError for another mask.
model::Mask parse_mask(const std::string& name);

/// @throws ConfigError when a language has no held-out text.
eval::BpbResult evaluate_bpb(const model::ModelFolder& folder, const tokenizer::Corpus& corpus,
                             model::Mask mask);

eval::ChoiceResult evaluate_choice(
    const model::ModelFolder& folder,
    const std::map<std::string, std::vector<eval::ChoiceItem>>& tasks, model::Mask mask);

}  // namespace polygraft::cli
