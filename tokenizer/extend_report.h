// tokenizer/extend_report.h: what an extension did, measured by encoding with both tokenizers.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "tokenizer/bpe_trainer.h"

namespace polygraft::tokenizer {

/// Encodes every document of `files` with both tokenizers, on up to `num_threads` threads (0: the
/// default of core/parallel.h).
LanguageSegmentation compare_segmentation(const Tokenizer& old, const Tokenizer& grown,
                                          const std::vector<fs::path>& files, int num_threads = 0);

}  // namespace polygraft::tokenizer
