// tokenizer/extend_sentencepiece.h: continued BPE for a SentencePiece model file (tokenizer.model).
//
// SentencePiece joins two adjacent pieces when their text is a piece, the one of highest score
// first. New pieces get scores below all old ones, so on any text the old pieces are made first,
// and the guard of extend_guard.h holds. Unlike in tokenizer.json it is the text that counts, not
// which two pieces it came from.
#pragma once
#include "tokenizer/extend_parts.h"

namespace polygraft::tokenizer {

/// @throws NotBuiltError for a model that is not BPE (a unigram piece competes with all others by
/// probability, so any new piece may change old text), and for unused pieces.
void check_sentencepiece(const Tokenizer& old);

/// The words of texts, as the old pieces they are cut into. A word ends before a piece that begins
/// with a space, and at a piece that joins nothing.
NewText segment_sentencepiece(const Tokenizer& old, const TextsByLanguage& texts);

}  // namespace polygraft::tokenizer
