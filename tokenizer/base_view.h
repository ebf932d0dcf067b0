// tokenizer/base_view.h: an extended tokenizer as it was before its extension.
#pragma once
#include "tokenizer/tokenizer.h"

namespace polygraft::tokenizer {

/// The tokenizer without every merge (or SentencePiece piece) that makes an id >= first_added.
/// Since an extension only appends those, this cuts any text as the base's own tokenizer does. Ids
/// keep their meaning.
Tokenizer without_added_tokens(const Tokenizer& extended, TokenId first_added);

}  // namespace polygraft::tokenizer
