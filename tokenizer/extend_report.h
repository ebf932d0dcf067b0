// tokenizer/extend_report.h: what an extension did, measured by encoding with both tokenizers.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "tokenizer/bpe_trainer.h"

namespace polygraft::tokenizer {

/// Encodes every document of `files` with both tokenizers.
LanguageSegmentation compare_segmentation(const Tokenizer& old, const Tokenizer& grown,
                                          const std::vector<fs::path>& files);

/// How many of `tokens` the merges do not make out of their own bytes.
int64_t count_unreachable(const Tokenizer& grown, const std::vector<NewToken>& tokens);

}  // namespace polygraft::tokenizer
