// tokenizer/base_view.cpp: see base_view.h.
#include "tokenizer/base_view.h"

#include "tokenizer/tokenizer_impl.h"

namespace polygraft::tokenizer {

Tokenizer without_added_tokens(const Tokenizer& extended, TokenId first_added) {
  return Tokenizer(extended.impl().without_tokens_from(first_added));
}

}  // namespace polygraft::tokenizer
