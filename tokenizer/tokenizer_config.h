// tokenizer/tokenizer_config.h: what tokenizer_config.json and special_tokens_map.json say about
// the tokenizer beside them.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace polygraft::tokenizer {

/// "<s>" of "<s>" or of {"content": "<s>", ...}. @throws FormatError naming `file`.
std::string token_text(const Json& token, const fs::path& file);

/// "bos_token": "<s>" or {"content": "<s>", ...}, from the first of the two files that has it.
/// @throws FormatError when that is no token.
std::optional<TokenId> special_token(const fs::path& folder, const char* key,
                                     const Vocabulary& vocabulary);

/// "add_bos_token": true in tokenizer_config.json; false where it is not there.
bool config_flag(const fs::path& folder, const char* key);

/// The tokenizer's own.
struct KnownTokens {
  const Vocabulary& vocabulary;
  const std::vector<AddedToken>* added = nullptr;  ///< none: every token may stand for an added one
  bool normalizes = false;  ///< it may change a text before tokens are looked for
};

/// transformers adds tokens of its own configuration to those of the tokenizer, with the flags that
/// are stated there. With one that is not there, or only as a plain token, or with other flags, it
/// would encode otherwise than the tokenizer says. @throws FormatError naming it.
void refuse_other_added_tokens(const fs::path& folder, const KnownTokens& known);

/// transformers 5 has classes that put a normaliser of their own, NFC, in the place of
/// tokenizer.json's: a warning where that is another, or none. @param normalizer the file's.
void warn_of_other_normalizer(const fs::path& folder, const Json& normalizer);

}  // namespace polygraft::tokenizer
