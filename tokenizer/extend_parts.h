// tokenizer/extend_parts.h: what extending a tokenizer.json and a SentencePiece model have in
// common: limits, promises, files.
#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>

#include "tokenizer/bpe_trainer.h"
#include "tokenizer/merge_learner.h"
#include "tokenizer/vocabulary_growth.h"

namespace polygraft::tokenizer {

using TextsByLanguage = std::map<std::string, std::vector<fs::path>>;

/// What merges are learned from.
struct NewText {
  MergeLearner learner;
  int64_t num_tokens =
      0;  ///< as the old tokenizer cuts it; added tokens of a tokenizer.json left out

  void add_word(std::span<const TokenId> symbols, int64_t count) {
    learner.add_word(symbols, count);
    num_tokens += count * static_cast<int64_t>(symbols.size());
  }
};

/// @param new_text_tokens tokens of the new text as the old tokenizer cuts it.
LearnLimits limits_of(const ExtendOptions& options, int64_t new_text_tokens);

/// @throws NumericError when nothing was learned; warns of fewer merges than asked for.
void check_learned(int64_t num_learned, const ExtendOptions& options, const LearnLimits& limits,
                   const ExtendReport& report);

/// What the guard and continued BPE promise, looked at in the result. A failure is a fault of this
/// program. @param changes how many guard documents of each language are cut differently.
/// @throws NumericError.
void check_promises(const ExtendReport& report, const std::map<std::string, int64_t>& changes);

/// tokenizer_config.json and its like, as they are. Makes `folder` if it is missing.
void copy_tokenizer_settings(const fs::path& source_folder, const fs::path& folder);

}  // namespace polygraft::tokenizer
