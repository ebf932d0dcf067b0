// tokenizer/extend_sentencepiece.cpp: see extend_sentencepiece.h.
#include "tokenizer/extend_sentencepiece.h"

#include <map>

#include "core/error.h"
#include "core/parallel.h"
#include "core/text.h"
#include "tokenizer/corpus.h"
#include "tokenizer/metaspace.h"
#include "tokenizer/sentencepiece_tokenizer.h"

namespace polygraft::tokenizer {
namespace {

void check_pieces(const SentencePieceFile& pieces, const fs::path& file) {
  if (pieces.algorithm != SentencePieceAlgorithm::kBpe) {
    throw NotBuiltError(
        concat("extending a SentencePiece model of type unigram (", file.string(), ")"))
        .hint(
            "only BPE gives priority to old pieces; in a unigram model a new piece competes with "
            "all others by probability, and may change any text");
  }
  for (size_t id = 0; id < pieces.pieces.size(); ++id) {
    if (pieces.pieces[id].type != PieceType::kUnused) continue;
    throw NotBuiltError(
        concat("extending a SentencePiece model with unused pieces (", file.string(), ")"))
        .found(concat("piece ", id, ", '", pieces.pieces[id].text, "'"))
        .hint("such pieces are made and taken apart again, so that the guard could not be kept");
  }
}

using Words = std::map<std::vector<TokenId>, int64_t>;

/// Cuts a run (tokenizer_impl.h) into words and counts them.
void count_words(const Tokenizer& old, std::span<const TokenId> run, Words& words) {
  for (size_t begin = 0, end = 0; begin < run.size(); begin = end) {
    end = begin + 1;
    while (end < run.size() && !old.token(run[end]).starts_with(kVisibleSpace)) ++end;
    ++words[{run.begin() + static_cast<ptrdiff_t>(begin),
             run.begin() + static_cast<ptrdiff_t>(end)}];
  }
}

}  // namespace

void check_sentencepiece(const Tokenizer& old) {
  const auto& model = dynamic_cast<const SentencePieceTokenizer&>(old.impl());
  check_pieces(model.pieces, model.file);
}

NewText segment_sentencepiece(const Tokenizer& old, const TextsByLanguage& texts) {
  std::vector<Words> words(resolve_num_threads(0));
  for (const auto& [language, files] : texts) {
    for_each_document_unordered(files, 0, [&](Document&& document, size_t thread) {
      old.impl().for_each_run(document.text, [&](std::span<const TokenId> run) {
        count_words(old, run, words[thread]);
      });
    });
  }
  Words all;
  for (Words& own : words) {
    for (const auto& [word, count] : own) all[word] += count;
    own.clear();
  }
  NewText text;
  for (const auto& [word, count] : all) text.add_word(word, count);
  return text;
}

}  // namespace polygraft::tokenizer
