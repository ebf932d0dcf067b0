// tokenizer/tokenizer_config.h: what tokenizer_config.json and special_tokens_map.json say about
// the tokenizer beside them.
#pragma once
#include <optional>

#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace polygraft::tokenizer {

/// "bos_token": "<s>" or {"content": "<s>", ...}, from the first of the two files that has it.
/// @throws FormatError when that is no token.
std::optional<TokenId> special_token(const fs::path& folder, const char* key,
                                     const Vocabulary& vocabulary);

/// transformers adds tokens of its own configuration to those of the tokenizer; with one that is
/// not there, it would encode otherwise than the tokenizer says. @throws FormatError naming it.
void refuse_other_added_tokens(const fs::path& folder, const Vocabulary& vocabulary);

}  // namespace polygraft::tokenizer
