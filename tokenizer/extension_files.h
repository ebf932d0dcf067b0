// tokenizer/extension_files.h: the files of an extended tokenizer, made from those of the one that
// it extends. The same source and additions give the same bytes.
#pragma once
#include <string>

#include "tokenizer/tokenizer_writer.h"

namespace polygraft::tokenizer {

/// Hugging Face tokenizers number added tokens that model.vocab lacks from its size on. New entries
/// would shift them, so they are entered with the ids they have.
/// @param source_text tokenizer.json of `old`.
void pin_added_tokens(const std::string& source_text, const fs::path& source, const Tokenizer& old,
                      VocabularyAdditions& additions);

/// `tokenizer_json` and what belongs beside it: the settings of `source_folder` as they are, and
/// its vocab.json and merges.txt with the additions. Makes `folder` if it is missing.
void write_extension(const fs::path& source_folder, const std::string& tokenizer_json,
                     const VocabularyAdditions& additions, const fs::path& folder);

}  // namespace polygraft::tokenizer
