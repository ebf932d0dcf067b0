// tokenizer/extend_sentencepiece.h: continued BPE for a SentencePiece model file (tokenizer.model).
//
// SentencePiece joins two adjacent pieces when their text is a piece, the one of highest score
// first. New pieces get scores below all old ones, so on any text the old pieces are made first.
// The first new piece to be made in a text is then the text of two pieces adjacent in its old
// segmentation: when no such pair of guarded text spells a new piece, guarded text stays as it is.
// Unlike in tokenizer.json it is the text that counts, not which two pieces it came from.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tokenizer/bpe_trainer.h"

namespace polygraft::tokenizer {

/// Learns pieces, appends them to the model file and copies the other tokenizer files of `source`.
/// Old pieces, user-defined and control ones among them, keep ids, types and scores.
/// @param source a folder with tokenizer.model.
/// @throws NotBuiltError for a model that is not BPE (a unigram piece competes with all others by
/// probability, so any new piece may change old text), for a guard budget, and when the folder
/// names added tokens behind the model's pieces, whose ids the new ones would take.
ExtendReport extend_sentencepiece(const fs::path& source,
                                  const std::map<std::string, std::vector<fs::path>>& new_texts,
                                  const std::map<std::string, std::vector<fs::path>>& guard_texts,
                                  const ExtendOptions& options, const fs::path& folder);

}  // namespace polygraft::tokenizer
