// tokenizer/base_view.h: an extended tokenizer as it was before its extension.
#pragma once
#include <vector>

#include "tokenizer/tokenizer.h"

namespace polygraft::tokenizer {

/// The tokenizer without every merge (or SentencePiece piece) that makes an id >= first_added.
/// Since an extension only appends those, this cuts any text as the base's own tokenizer does. Ids
/// keep their meaning.
Tokenizer without_added_tokens(const Tokenizer& extended, TokenId first_added);

/// For each token from `first_added` on the old tokens it replaces: new merges come after all old
/// ones, so wherever a new token stands the base has these, however the text around it goes on.
/// They need not be valid UTF-8 together.
/// @throws FormatError for a token that no merges make of them.
std::vector<std::vector<TokenId>> old_parts_of_added_tokens(const Tokenizer& extended,
                                                            TokenId first_added);

/// How many tokens from `first_added` on are not made out of their own text.
int64_t count_unreachable(const Tokenizer& extended, TokenId first_added);

}  // namespace polygraft::tokenizer
